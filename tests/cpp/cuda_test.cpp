#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "emulation.hpp"
#include "support/guarded.hpp"
#include "support/norms.hpp"
#include "support/stored.hpp"

/// The CUDA engine over a CUDA of host memory: its kernels, run thread after thread, give the bits of the CPU's.
namespace adamcore::test {
namespace {

constexpr cuda::Stream stream = 1;

void add(cuda::Engine& engine, Tensor tensor) {
    --tensor.step;
    cuda::Entry entry;
    entry.tensor = tensor;
    engine.add(entry);
}

void add_to_measure(cuda::Engine& engine, std::vector<Stored>& arrays) {
    engine.add_group({});
    for (Stored& array : arrays) {
        cuda::Entry entry;
        entry.tensor.grad = array.data();
        entry.tensor.size = array.size();
        entry.tensor.dtype = entry.tensor.grad_dtype = array.dtype();
        engine.add(entry);
    }
}

/// Forwards and backwards: no thread may depend on another that runs in the same phase.
class Cuda : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { cuda::emulation::run_backwards(GetParam()); }
    void TearDown() override { cuda::emulation::run_backwards(false); }
};

INSTANTIATE_TEST_SUITE_P(Orders, Cuda, testing::Bool(),
                         [](const auto& order) { return order.param ? "Backwards" : "Forwards"; });

TEST_P(Cuda, EveryRuleAndStorageHasTheBitsOfTheCpu) {
    const cpu::Kernels& kernels = cpu::best_kernels();
    const std::vector<std::int64_t> sizes{4099, 1, 37};
    for (const std::size_t rule : simple_rules()) {
        const cpu::Group group = distinct_group(rule, rule % 2 == 0, -1.0);
        for (const Storage& storage : slow_build ? some_storages(rule) : every_storage()) {
            std::vector<StoredTensor> here, there;
            for (const std::int64_t size : sizes) here.emplace_back(storage, cpu::all_rules()[rule], size, 5);
            there = here;
            cuda::Settings settings;
            settings.seed = 42;
            cuda::Engine engine(0, settings);
            engine.add_group(group);
            for (StoredTensor& tensor : there) add(engine, tensor.view(1));
            for (std::int64_t step = 1; step <= StoredTensor::steps; ++step) {
                std::vector<Tensor> tensors;
                for (StoredTensor& tensor : here) tensors.push_back(tensor.view(step));
                Treatment treatment;
                treatment.seed = 42;
                dispatch_in_parts(kernels, {group}, tensors, 1, cpu::Threads{1}, treatment);
                for (std::size_t i = 0; i < there.size(); ++i) engine.set_grad(i, there[i].grad(step).data());
                cuda::StepRequest request{stream};
                request.check = step % 2 == 0;  // constants come from the host and from the device in turn
                engine.step(request);
            }
            cuda::emulation::synchronize();
            for (std::size_t i = 0; i < sizes.size(); ++i)
                ASSERT_TRUE(here[i] == there[i])
                    << cpu::all_rules()[rule].name << ", " << text_of(storage) << ", " << i;
        }
    }
}

/// An AdamW tensor of floats, each array between pages that may not be touched and wherever an address may be.
struct GuardedTensor {
    GuardedTensor(std::size_t size, unsigned places)
        : arrays{make(size, places, 0), make(size, places, 1), make(size, places, 2), make(size, places, 3)} {
        for (std::size_t k = 0; k < 4; ++k) {
            for (std::size_t i = 0; i < size; ++i) arrays[k]->data()[i] = static_cast<float>(1 + (i * (k + 3)) % 17);
        }
        arrays[1]->forbid_writes();
        tensor = adamcore::tensor(arrays[0]->data(), static_cast<const float*>(arrays[1]->data()),
                                  static_cast<std::int64_t>(size), 1, arrays[2]->data(), arrays[3]->data());
    }

    static std::unique_ptr<Guarded<float>> make(std::size_t size, unsigned places, unsigned array) {
        return std::make_unique<Guarded<float>>(size, places >> array & 1u ? Against::end : Against::start);
    }

    std::unique_ptr<Guarded<float>> arrays[4];
    Tensor tensor;
};

TEST_P(Cuda, EveryAlignmentStaysInsideItsArrays) {
    const cpu::Group group = distinct_group(index_of<AdamW>(), true, 1.0);
    for (const std::size_t size : {1, 2, 3, 4, 5, 7, 9, 1021, 1023, 4095, 4097, 4098, 8191}) {
        for (unsigned places = 0; places < 16; ++places) {
            GuardedTensor here(size, places), there(size, places);
            dispatch(cpu::best_kernels(), {group}, {here.tensor}, cpu::Serial{});
            cuda::Engine engine(0, {});
            engine.add_group(group);
            add(engine, there.tensor);
            engine.step({stream});
            cuda::emulation::synchronize();
            for (const std::size_t k : {0, 2, 3}) {
                for (std::size_t i = 0; i < size; ++i)
                    ASSERT_EQ(here.arrays[k]->data()[i], there.arrays[k]->data()[i]) << size << ", " << places;
            }
        }
    }
}

TEST_P(Cuda, NormsHaveTheBitsOfTheCpu) {
    const cpu::Kernels& kernels = cpu::best_kernels();
    for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16}) {
        std::vector<Stored> arrays;
        double large = 1;
        for (const std::int64_t size : {1, 31, 4096, 4097, 40000, 300001}) {
            arrays.emplace_back(dtype, size);
            if (dtype == Dtype::float64) large = size % 2 ? 1e200 : 1e-200;
            for (std::int64_t i = 0; i < size; ++i)
                arrays.back().set(i, large * (std::sin(static_cast<double>(i)) + 0.01));
        }
        cuda::Engine engine(0, {});
        add_to_measure(engine, arrays);
        const double norm = engine.measure({stream}).read().norm;
        EXPECT_EQ(norm, norm::root(squares_of(kernels, readings_of(arrays), 2))) << name_of(dtype);
    }
}

TEST_P(Cuda, ThousandsOfArraysAreLookedAtByManyBlocks) {
    for (const std::int64_t count : {511, 512, 513, 1500}) {
        std::vector<Stored> arrays;
        for (std::int64_t i = 0; i < count; ++i) {
            arrays.emplace_back(Dtype::float32, 1 + i % 7);
            for (std::int64_t k = 0; k < arrays.back().size(); ++k)
                arrays.back().set(k, std::sin(static_cast<double>(i + k)) + 0.01);
        }
        cuda::Engine engine(0, {});
        add_to_measure(engine, arrays);
        const cuda::Outcome clean = engine.measure({stream}).read();
        EXPECT_EQ(clean.norm, norm::root(squares_of(cpu::best_kernels(), readings_of(arrays), 2))) << count;
        EXPECT_EQ(clean.culprit, -1);
        for (const std::int64_t culprit : {count - 1, count / 2, std::int64_t{3}}) {
            arrays[static_cast<std::size_t>(culprit)].set(0, std::nan(""));
            EXPECT_EQ(engine.measure({stream}).read().culprit, culprit) << count;
        }
    }
}

TEST_P(Cuda, AFoldIsSumPairsForEveryCount) {
    for (std::int64_t count = 1; count <= 1030; ++count) {
        std::vector<norm::Squares> terms;
        for (std::int64_t i = 0; i < count; ++i)
            terms.push_back({1.0 / static_cast<double>(3 * i + 1), static_cast<std::int32_t>(i % 3) - 1});
        std::vector<norm::Squares> expected = terms;
        const norm::Squares sum = sums::sum_pairs(expected.data(), count);
        std::vector<cuda::FoldTile> tiles;
        for (std::int64_t at = 0; at < count; at += cuda::Fold::capacity)
            tiles.push_back({at, std::min(cuda::Fold::capacity, count - at)});
        std::vector<norm::Squares> folded(tiles.size());
        const auto blocks = static_cast<std::int64_t>(tiles.size());
        cuda::fold(blocks, {tiles.data(), terms.data(), folded.data()}, stream);
        cuda::emulation::synchronize();
        const norm::Squares found = sums::sum_pairs(folded.data(), blocks);
        ASSERT_EQ(found.sum, sum.sum) << count;
        ASSERT_EQ(found.power, sum.power) << count;
    }
}

/// A kernel writes members, and not what lies between them: copied back, that would be memory nobody has written.
TEST(CudaTable, WhatIsReadBackHasNoPadding) {
    EXPECT_EQ(offsetof(cuda::Control, skip) + sizeof(cuda::Control::skip), sizeof(cuda::Control));
    EXPECT_EQ(offsetof(cuda::Control, skip), offsetof(cuda::Control, power) + sizeof(cuda::Control::power));
    EXPECT_EQ(offsetof(cuda::Outcome, culprit) + sizeof(cuda::Outcome::culprit), sizeof(cuda::Outcome));
    EXPECT_EQ(offsetof(cuda::LossScaling, multiplier) + sizeof(cuda::LossScaling::multiplier),
              sizeof(cuda::LossScaling));
    EXPECT_EQ(offsetof(cuda::Clock, unused) + sizeof(cuda::Clock::unused), offsetof(cuda::Clock, tensor));
    EXPECT_EQ(offsetof(cuda::Clock, tensor) + sizeof(cuda::Clock::tensor), sizeof(cuda::Clock));
}

TEST(CudaUpdate, TheHeadEndsWhereVectorsBegin) {
    alignas(64) float memory[32];
    for (int offset = 0; offset < 16; ++offset) {
        const float* const array = memory + offset;
        const std::int64_t head = cuda::elements_before_whole<4>(array, sizeof(float));
        EXPECT_LT(head, 4);
        EXPECT_TRUE(cuda::is_wide<4>(array + head));
    }
}

TEST(CudaEngine, ACapturedStepIsAStepEachTime) {
    const cpu::Group group = distinct_group(index_of<AdamW>(), true, 1.0);
    GuardedTensor here(5000, 0), there(5000, 0);
    cuda::Engine eager(0, {}), captured(0, {});
    for (auto* engine : {&eager, &captured}) {
        engine->add_group(group);
        add(*engine, engine == &eager ? here.tensor : there.tensor);
        engine->step({stream});
    }
    const cuda::Stream side = cuda::emulation::make_stream(true);
    cuda::emulation::begin_capture(side);
    captured.step({side});
    const auto graph = cuda::emulation::end_capture(side);
    for (int step = 2; step <= 6; ++step) {
        cpu::Group changed = group;
        changed.hyper[0] = 0.01 * step;
        eager.set_group(0, changed);
        eager.step({stream});
        captured.set_group(0, changed);
        captured.upload(stream);
        cuda::emulation::launch(graph, side);
    }
    EXPECT_EQ(captured.steps(0), 6);
    EXPECT_EQ(captured.completed(), 6);
    cuda::emulation::synchronize();
    for (const std::size_t k : {0, 2, 3})
        EXPECT_EQ(std::memcmp(here.arrays[k]->data(), there.arrays[k]->data(), 5000 * sizeof(float)), 0);
}

}  // namespace
}  // namespace adamcore::test

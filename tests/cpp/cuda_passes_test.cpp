#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/passes/lines.hpp"
#include "emulation.hpp"
#include "support/stored.hpp"

/// Rules with passes on the CUDA engine: any shapes have the bits of element after element.
namespace adamcore::test {
namespace {

constexpr cuda::Stream stream = 1;

struct Shape {
    std::int64_t matrices, rows, columns;  ///< a vector has 0 rows
    std::int64_t size() const { return matrices * (rows == 0 ? 1 : rows) * columns; }
};

cpu::Group group_of_rule(std::size_t rule, double grad_scale) {
    cpu::Group group{rule, {}, grad_scale};
    const RuleInfo& info = cpu::all_rules()[rule];
    for (std::size_t i = 0; i < info.field_count; ++i) {
        group.hyper[i] = info.fields[i].preset;
        if (std::strcmp(info.fields[i].name, "weight_decay") == 0) group.hyper[i] = 0.0625;
        if (std::strcmp(info.fields[i].name, "momentum") == 0) group.hyper[i] = 0.75;
    }
    return group;
}

/// What a test does to gradients.
struct Options {
    cuda::Settings settings{};
    bool check = false;
};

/// Three steps, the second without the first gradient, on both.
void expect_same(std::size_t rule, const Storage& storage, const std::vector<Shape>& shapes,
                 const Options& options = {}) {
    const RuleInfo& info = cpu::all_rules()[rule];
    std::vector<cpu::Group> groups{group_of_rule(rule, 1.0), group_of_rule(rule, -1.0)};
    std::vector<StoredTensor> here;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const RuleInfo& own = cpu::all_rules()[shapes[i].rows == 0 ? info.for_vectors : rule];
        here.emplace_back(storage, own, shapes[i].matrices, shapes[i].rows, shapes[i].columns, 7 + i);
    }
    std::vector<StoredTensor> there = here;
    cuda::Settings settings = options.settings;
    settings.seed = 42;
    cuda::Engine engine(0, settings);
    for (const cpu::Group& group : groups) engine.add_group(group);
    double shared[max_numbers] = {};
    for (std::size_t k = 0; k < info.number_count; ++k) shared[k] = info.first_number(groups[0].hyper, k);
    const auto group_of = [&](std::size_t i) { return static_cast<std::int32_t>(2 * i >= shapes.size()); };
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        cuda::Entry entry;
        entry.tensor = there[i].view(1);
        entry.tensor.step = 0;
        entry.tensor.group = group_of(i);
        engine.add(entry);
    }
    std::vector<std::int64_t> steps(shapes.size());
    for (std::int64_t step = 1; step <= StoredTensor::steps; ++step) {
        std::vector<Tensor> tensors;
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            const bool is_missing = step == 2 && i == 0;
            Tensor tensor = here[i].view(step);
            tensor.group = group_of(i);
            if (is_missing) tensor.grad = nullptr;
            if (!is_missing) tensor.step = ++steps[i];
            tensors.push_back(tensor);
            engine.set_grad(i, is_missing ? nullptr : there[i].grad(step).data());
        }
        Treatment treatment;
        treatment.seed = 42;
        if (settings.clip == Clip::value) treatment.limit = settings.limit;
        update_plainly(groups, tensors, treatment, shared);
        cuda::StepRequest request{stream};
        request.check = options.check && step == 2;
        engine.step(request);
    }
    cuda::emulation::synchronize();
    for (std::size_t i = 0; i < shapes.size(); ++i)
        ASSERT_TRUE(here[i] == there[i]) << info.name << ", " << text_of(storage) << ", " << shapes[i].matrices << " x "
                                         << shapes[i].rows << " x " << shapes[i].columns;
    const std::vector<double> numbers = engine.numbers();
    ASSERT_EQ(numbers.size(), info.number_count);
    for (std::size_t k = 0; k < numbers.size(); ++k) EXPECT_EQ(numbers[k], shared[k]) << info.name << ", " << k;
}

class CudaPasses : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { cuda::emulation::run_backwards(GetParam()); }
    void TearDown() override { cuda::emulation::run_backwards(false); }
};

INSTANTIATE_TEST_SUITE_P(Orders, CudaPasses, testing::Bool(),
                         [](const auto& order) { return order.param ? "Backwards" : "Forwards"; });

TEST_P(CudaPasses, EveryRuleAndStorageHasTheBitsOfElementAfterElement) {
    const std::vector<Shape> shapes{{1, 0, 4099}, {1, 3, 5}, {1, 0, 1}, {2, 65, 33}, {1, 0, 37}};
    const bool are_few = GetParam() || slow_build;  // races do not depend on the dtypes
    for (const std::size_t rule : rules_with_passes()) {
        for (const Storage& storage : are_few ? some_storages(rule) : every_storage())
            expect_same(rule, storage, shapes, {{}, true});
    }
}

TEST_P(CudaPasses, SumsOfEveryShapeHaveTheirBits) {
    const std::vector<Shape> shapes{
        {1, 1, 4097},  {1, 4097, 1},         {1, 63, 33},         {1, 64, 32},  {1, 64, 33}, {1, 65, 31}, {1, 3, 4095},
        {1, 3, 4096},  {2, 3, 8193},         {5, 7, 9},           {1000, 3, 3}, {1, 1, 1},   {3, 1, 7},   {4, 9, 1},
        {2, 129, 257}, {1, 8 * 4096 + 5, 2}, {1, 64 * 64 + 1, 3}, {1, 2, 300},  {3, 64, 64}};
    for (const std::size_t rule : {index_of<Adafactor>(), index_of<Lamb>(), index_of<Prodigy>()}) {
        for (const Shape& shape : shapes) {
            expect_same(rule, {}, {shape});
            if (shape.size() < 20000) expect_same(rule, {Dtype::float64, Dtype::float64, Dtype::float64}, {shape});
        }
    }
}

TEST_P(CudaPasses, ManyLeavesAreFolded) {
    expect_same(index_of<Lamb>(), {}, {{1, 0, 9 * 4096 + 1}, {1, 0, 1}});
    expect_same(index_of<Prodigy>(), {}, {{1, 0, 1}, {1, 0, 512 * 4096 + 1}});
}

TEST_P(CudaPasses, GradientsAreTreatedAsInUpdates) {
    Options options;
    options.settings.clip = Clip::value;
    options.settings.limit = 0.5;
    for (const std::size_t rule : rules_with_passes())
        expect_same(rule, {}, {{1, 0, 4099}, {1, 70, 70}, {3, 5, 7}}, options);
}

TEST(CudaSums, InTurnAreByPairs) {
    for (std::int64_t count = 0; count <= 300; ++count) {
        std::vector<double> terms;
        for (std::int64_t i = 0; i < count; ++i) terms.push_back(1.0 / static_cast<double>(3 * i + 1));
        const double found =
            cuda::sum_in_turn(count, [&](std::int64_t i) { return terms[static_cast<std::size_t>(i)]; });
        ASSERT_EQ(found, sums::sum_pairs(terms.data(), count)) << count;
    }
}

}  // namespace
}  // namespace adamcore::test

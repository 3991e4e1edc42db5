#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "support/guarded.hpp"
#include "support/norms.hpp"
#include "support/parameters.hpp"
#include "support/stored.hpp"

/// No update reads or writes a byte outside its arrays, and none writes to a gradient: what it may not touch is not
/// mapped, and a gradient is mapped for reading only. So are arrays that are measured.
namespace adamcore::test {
namespace {

/// A parameter's arrays, each between pages of its own.
template <class Rule, class T>
class GuardedParameter {
public:
    GuardedParameter(Parameter<Rule, T>& values, Against against) : size_(values.size()) {
        const auto source = values.pointers();
        for (std::size_t k = 0; k < source.size(); ++k) {
            arrays_.push_back(std::make_unique<Guarded<T>>(static_cast<std::size_t>(size_), against));
            std::memcpy(arrays_[k]->data(), source[k], bytes());
        }
        arrays_[1]->forbid_writes();
    }

    Tensor view(std::int64_t step) const {
        Pointers<Rule, T> at;
        for (std::size_t k = 0; k < at.size(); ++k) at[k] = arrays_[k]->data();
        return tensor_at<Rule, T>(at, size_, step);
    }

    bool same_bits(Parameter<Rule, T>& values) const {
        for (std::size_t k = 0; k < arrays_.size(); ++k) {
            if (std::memcmp(arrays_[k]->data(), values.pointers()[k], bytes()) != 0) return false;
        }
        return true;
    }

private:
    std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

    std::int64_t size_;
    std::vector<std::unique_ptr<Guarded<T>>> arrays_;
};

template <class Case>
class GuardedRules : public testing::Test {};
TYPED_TEST_SUITE(GuardedRules, EveryCase, TypeNumber);

TYPED_TEST(GuardedRules, UpdatesStayInsideTheirArrays) {
    using Rule = typename TypeParam::Rule;
    using T = typename TypeParam::T;
    std::mt19937_64 random(13);
    for (std::int64_t size = 1; size <= 70; ++size) {
        const auto hyper = hypers<Rule>()[static_cast<std::size_t>(size % 2)];
        Parameter<Rule, T> before(size, 2, 0, random);
        auto expected = before;
        expected.update_plainly(hyper, 1.0);
        for (const Against against : {Against::start, Against::end}) {
            for (const cpu::Kernels* kernels : every_kernels()) {
                const GuardedParameter<Rule, T> parameter(before, against);
                dispatch(*kernels, {group_of<Rule>(hyper, 1.0)}, {parameter.view(2)}, cpu::Serial{});
                ASSERT_TRUE(parameter.same_bits(expected)) << name_of(kernels->isa) << ", size " << size;
            }
        }
    }
}

/// A tensor of any types whose arrays lie between pages of their own, updated there.
class GuardedTensor {
public:
    GuardedTensor(StoredTensor& values, Against against) : values_(values), view_(values.view(1)) {
        view_.param = guard(values.param(), against);
        view_.grad = guard(values.grad(1), against);
        arrays_.back()->forbid_writes();
        for (std::size_t slot = 0; slot < values.state().size(); ++slot)
            view_.state[slot] = guard(values.state()[slot], against);
        for (std::size_t i = 0; i < values.extras().size(); ++i) view_.extra[i] = guard(values.extras()[i], against);
    }

    const Tensor& view() const { return view_; }

    /// Copies the arrays to where they came from.
    StoredTensor& values() {
        for (std::size_t k = 0; k < arrays_.size(); ++k)
            std::memcpy(sources_[k]->data(), arrays_[k]->data(), sources_[k]->byte_count());
        return values_;
    }

private:
    void* guard(Stored& array, Against against) {
        sources_.push_back(&array);
        arrays_.push_back(std::make_unique<Guarded<std::byte>>(array.byte_count(), against));
        return std::memcpy(arrays_.back()->data(), array.data(), array.byte_count());
    }

    StoredTensor& values_;
    Tensor view_;
    std::vector<Stored*> sources_;
    std::vector<std::unique_ptr<Guarded<std::byte>>> arrays_;
};

TEST(Guard, UpdatesOfEveryStorageStayInsideTheirArrays) {
    const auto group = group_of<AdamW>({}, 1.0);
    for (const Storage& storage : every_storage()) {
        for (const std::int64_t size : {1, 7, 63, 65, 127, 128, 129, 256, 300}) {
            const StoredTensor before(storage, info_of<AdamW>(), size, 23);
            auto expected = before;
            update_plainly({group}, {expected.view(1)});
            for (const Against against : {Against::start, Against::end}) {
                for (const cpu::Kernels* kernels : every_kernels()) {
                    auto actual = before;
                    GuardedTensor guarded(actual, against);
                    dispatch(*kernels, {group}, {guarded.view()}, cpu::Serial{});
                    ASSERT_TRUE(guarded.values() == expected) << text_of(storage) << ", size " << size;
                }
            }
        }
    }
}

TEST(Guard, NormsReadNothingElseAndWriteNothing) {
    for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16}) {
        for (const std::int64_t size : {1, 15, 31, 33, 255, 257, 4095, 4097, 4200}) {
            Stored array(dtype, size);
            for (std::int64_t i = 0; i < size; ++i) array.set(i, static_cast<double>(i % 13));
            for (const Against against : {Against::start, Against::end}) {
                const Guarded<std::byte> guarded(array.byte_count(), against);
                std::memcpy(guarded.data(), array.data(), array.byte_count());
                guarded.forbid_writes();
                for (const cpu::Kernels* kernels : every_kernels())
                    ASSERT_EQ(norm_of({guarded.data(), size, dtype, {}}, *kernels), norm_of(array, *kernels));
            }
        }
    }
}

TEST(GuardDeathTest, TouchingAGuardIsFatal) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const Guarded<float> at_end(3, Against::end), at_start(3, Against::start);
    const auto read = [](const volatile float* place) { return *place; };
    const auto write = [](volatile float* place) { *place = 1.0f; };
    EXPECT_DEATH(read(at_end.data() + 3), "");
    EXPECT_DEATH(read(at_start.data() - 1), "");
    EXPECT_DEATH(write(at_end.data() + 3), "");
    at_end.forbid_writes();
    EXPECT_EQ(read(at_end.data()), 0.0f);
    EXPECT_DEATH(write(at_end.data()), "");
}

}  // namespace
}  // namespace adamcore::test

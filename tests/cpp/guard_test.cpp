#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "support/guarded.hpp"
#include "support/parameters.hpp"

/// No update reads or writes a byte outside its arrays, and none writes to a gradient: what it may not touch is not
/// mapped, and a gradient is mapped for reading only.
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
class Guard : public testing::Test {};
TYPED_TEST_SUITE(Guard, EveryCase, TypeNumber);

TYPED_TEST(Guard, UpdatesStayInsideTheirArrays) {
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

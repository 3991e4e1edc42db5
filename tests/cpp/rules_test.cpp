#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "support/parameters.hpp"

/// Every engine gives the bits of the rule called element after element: static dispatch, each instruction set, any
/// number of threads, any alignment.
namespace adamcore::test {
namespace {

constexpr std::size_t offsets[] = {0, 1, 5};
constexpr int thread_counts[] = {1, 2, 5};

/// Calls `check(hyper, grad_scale, before, expected)` for models that cover what an engine tells apart.
template <class Rule, class T, class Check>
void for_each_problem(Check&& check) {
    for (const std::size_t offset : offsets) {
        const Model<Rule, T> before(offset);
        for (const auto& hyper : hypers<Rule>()) {
            for (const double grad_scale : {-1.0, 1.0, 1.0 / 3}) {
                auto expected = before;
                expected.update_plainly(hyper, grad_scale);
                ASSERT_FALSE(expected.same_bits(before));
                ASSERT_NO_FATAL_FAILURE(check(hyper, grad_scale, before, expected)) << "offset " << offset;
            }
        }
    }
}

template <class Rule, class Model, class... More>
void step_statically(Model& model, const typename Rule::Hyper& hyper, const More&... more) {
    const auto tensors = model.tensors();
    cpu::step<Rule>(tensors.data(), static_cast<std::int64_t>(tensors.size()), hyper, more...);
}

template <class Case>
class Rules : public testing::Test {};
TYPED_TEST_SUITE(Rules, EveryCase, TypeNumber);

TYPED_TEST(Rules, StaticDispatchEqualsThePlainLoop) {
    using Rule = typename TypeParam::Rule;
    for_each_problem<Rule, typename TypeParam::T>(
        [](const auto& hyper, double grad_scale, const auto& before, const auto& expected) {
            for (const int threads : thread_counts) {
                auto model = before;
                step_statically<Rule>(model, hyper, cpu::Threads{threads}, Treatment{grad_scale});
                ASSERT_TRUE(model.same_bits(expected)) << threads << " threads";
            }
        });
}

TYPED_TEST(Rules, EveryInstructionSetEqualsThePlainLoop) {
    using Rule = typename TypeParam::Rule;
    ASSERT_FALSE(every_kernels().empty());
    for_each_problem<Rule, typename TypeParam::T>(
        [](const auto& hyper, double grad_scale, const auto& before, const auto& expected) {
            for (const cpu::Kernels* kernels : every_kernels()) {
                for (const int threads : thread_counts) {
                    auto model = before;
                    dispatch(*kernels, {group_of<Rule>(hyper, grad_scale)}, model.tensors(), cpu::Threads{threads});
                    ASSERT_TRUE(model.same_bits(expected)) << name_of(kernels->isa) << ", " << threads << " threads";
                }
            }
        });
}

TEST(StaticDispatch, IsByDefaultOnTheCallingThread) {
    const Model<AdamW, float> before;
    auto expected = before, model = before;
    expected.update_plainly(distinct_hyper<AdamW>(), 1.0);
    step_statically<AdamW>(model, distinct_hyper<AdamW>());
    EXPECT_TRUE(model.same_bits(expected));
}

TEST(StaticDispatch, StateBeginsWithTheUpdateThatTheTensorNames) {
    const SgdMomentum::Hyper hyper{1.0, 0.5, 0.25, 0.0};
    for (const std::int64_t first : {std::int64_t{1}, std::int64_t{4}, Tensor::never}) {
        float p[] = {0}, g[] = {1}, buffer[] = {8};
        Tensor t = tensor(p, g, 1, 4, buffer);
        t.first = first;
        cpu::step<SgdMomentum>(&t, 1, hyper);
        EXPECT_EQ(buffer[0], first == 4 ? 1.0f : 4.75f) << first;
        EXPECT_EQ(p[0], -buffer[0]);
    }
}

TYPED_TEST(Rules, ANullGradientLeavesItsTensorAlone) {
    using Rule = typename TypeParam::Rule;
    const auto hyper = distinct_hyper<Rule>();
    const Model<Rule, typename TypeParam::T> before;
    auto expected = before;
    for (std::size_t i = 0; i < expected.parameters().size(); i += 2) {
        expected.parameters()[i].update_plainly(hyper, 1.0);
    }
    const auto without_odd_gradients = [](auto& model) {
        auto tensors = model.tensors();
        for (std::size_t i = 1; i < tensors.size(); i += 2) tensors[i].grad = nullptr;
        return tensors;
    };
    for (const cpu::Kernels* kernels : every_kernels()) {
        auto model = before;
        dispatch(*kernels, {group_of<Rule>(hyper, 1.0)}, without_odd_gradients(model), cpu::Threads{2});
        EXPECT_TRUE(model.same_bits(expected)) << name_of(kernels->isa);
    }
    auto model = before;
    const auto tensors = without_odd_gradients(model);
    cpu::step<Rule>(tensors.data(), static_cast<std::int64_t>(tensors.size()), hyper, cpu::Threads{2});
    EXPECT_TRUE(model.same_bits(expected));
}

/// NaNs are equal to each other: which operand's payload survives is no part of IEEE 754.
template <class T>
bool equal_or_both_nan(T a, T b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

/// A parameter with NaNs, infinities, zeros, subnormals and extremes strewn over each of its arrays.
template <class Rule, class T>
Parameter<Rule, T> with_special_values(std::int64_t size) {
    using Limits = std::numeric_limits<T>;
    const T special[] = {Limits::quiet_NaN(),  Limits::infinity(),    -Limits::infinity(), T(0),         T(-0.0),
                         Limits::denorm_min(), -Limits::denorm_min(), Limits::min(),       Limits::max()};
    std::mt19937_64 random(5);
    Parameter<Rule, T> parameter(size, 3, 1, random);
    const auto at = parameter.pointers();
    for (std::size_t k = 0; k < at.size(); ++k) {
        for (std::size_t i = 0; i < std::size(special); ++i) at[k][40 * k + 7 * i] = special[i];
    }
    return parameter;
}

TYPED_TEST(Rules, SpecialValuesStayInTheirElements) {
    using Rule = typename TypeParam::Rule;
    constexpr std::int64_t size = 997;
    auto before = with_special_values<Rule, typename TypeParam::T>(size);
    for (const auto& hyper : hypers<Rule>()) {
        auto expected = before;
        expected.update_plainly(hyper, 1.0);
        for (const cpu::Kernels* kernels : every_kernels()) {
            auto parameter = before;
            dispatch(*kernels, {group_of<Rule>(hyper, 1.0)}, {parameter.view()}, cpu::Serial{});
            for (std::size_t k = 0; k < array_count<Rule>; ++k) {
                for (std::int64_t i = 0; i < size; ++i) {
                    ASSERT_TRUE(equal_or_both_nan(parameter.pointers()[k][i], expected.pointers()[k][i]))
                        << name_of(kernels->isa) << ", array " << k << ", element " << i;
                }
            }
        }
    }
}

}  // namespace
}  // namespace adamcore::test

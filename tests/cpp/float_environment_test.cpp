#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "support/control_word.hpp"
#include "support/parameters.hpp"

/// What other libraries do to MXCSR (x86-64) or FPCR (AArch64) changes no bit of an update, and an update leaves the
/// register as it found it. Other processors leave this file out.
namespace adamcore::test {
namespace {

/// Runs each part on a new thread in a hostile environment, and notes whether the environment outlived the part.
struct HostileThreads {
    bool* undisturbed;

    int size() const { return 2; }

    template <class Body>
    void run(int parts, Body&& body) const {
        for (int part = 0; part < parts; ++part) {
            std::thread([&] {
                const HostileEnvironment hostile;
                body(part);
                if (control_word() != hostile_control) *undisturbed = false;
            }).join();
        }
    }
};

/// Values next to zero among the others: gradients, parameters and state below the least normal number.
template <class Rule, class T>
Parameter<Rule, T> with_subnormals(std::int64_t size) {
    std::mt19937_64 random(17);
    Parameter<Rule, T> parameter(size, 2, 0, random);
    for (T* array : parameter.pointers()) {
        for (std::int64_t i = 0; i < size; i += 1 + static_cast<std::int64_t>(random() % 3)) {
            array[i] *= std::numeric_limits<T>::min();
        }
    }
    return parameter;
}

template <class Case>
class FloatEnvironment : public testing::Test {
protected:
    using Rule = typename Case::Rule;
    using T = typename Case::T;

    FloatEnvironment() : before(with_subnormals<Rule, T>(150001)), expected(before) {
        expected.update_plainly(hyper, grad_scale);
    }

    static constexpr double grad_scale = 1.0 / 3;
    typename Rule::Hyper hyper = distinct_hyper<Rule>();
    Parameter<Rule, T> before, expected;
};
TYPED_TEST_SUITE(FloatEnvironment, EveryCase, TypeNumber);

TYPED_TEST(FloatEnvironment, MattersToAPlainLoop) {
    auto parameter = this->before;
    const auto ordinary = control_word();
    // Without the exceptions that would end the test.
    set_control_word(hostile_control | (ordinary & 0x1f80));
    parameter.update_plainly(this->hyper, this->grad_scale);
    set_control_word(ordinary);
    EXPECT_FALSE(parameter.same_bits(this->expected));
}

TYPED_TEST(FloatEnvironment, IsNothingToARunTimeStep) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        auto parameter = this->before;
        const std::vector<cpu::Group> groups{group_of<typename TypeParam::Rule>(this->hyper, this->grad_scale)};
        const std::vector<Tensor> tensors{parameter.view()};
        std::uint64_t after = 0;
        {
            const HostileEnvironment hostile;
            dispatch(*kernels, groups, tensors, cpu::Serial{});
            after = control_word();
        }
        EXPECT_EQ(after, hostile_control);
        EXPECT_TRUE(parameter.same_bits(this->expected)) << name_of(kernels->isa);
    }
}

TYPED_TEST(FloatEnvironment, OfAPoolsThreadsIsNothingEither) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        auto parameter = this->before;
        bool undisturbed = true;
        dispatch(*kernels, {group_of<typename TypeParam::Rule>(this->hyper, this->grad_scale)}, {parameter.view()},
                 HostileThreads{&undisturbed});
        EXPECT_TRUE(undisturbed);
        EXPECT_TRUE(parameter.same_bits(this->expected)) << name_of(kernels->isa);
    }
}

/// Here the compiler sees both the arithmetic and what sets the register, and must not swap them.
template <class T>
void expect_static_step_is_untouched() {
    auto parameter = with_subnormals<AdamW, T>(150001), expected = parameter;
    const auto hyper = distinct_hyper<AdamW>();
    expected.update_plainly(hyper, 1.0 / 3);
    const Tensor view = parameter.view();
    std::uint64_t after = 0;
    {
        const HostileEnvironment hostile;
        cpu::step<AdamW>(&view, 1, hyper, cpu::Serial{}, Treatment{1.0 / 3});
        after = control_word();
    }
    EXPECT_EQ(after, hostile_control);
    EXPECT_TRUE(parameter.same_bits(expected));
}

TEST(StaticStep, IsUntouchedByTheEnvironment) {
    expect_static_step_is_untouched<float>();
    expect_static_step_is_untouched<double>();
}

TEST(ControlWord, OfAnOrdinaryCallerIsRestoredToo) {
    std::mt19937_64 random(19);
    Parameter<AdamW, float> parameter(100, 1, 0, random);
    const auto ordinary = control_word();
    dispatch(cpu::best_kernels(), {group_of<AdamW>({}, 1.0)}, {parameter.view()}, cpu::Serial{});
    EXPECT_EQ(control_word(), ordinary);
}

}  // namespace
}  // namespace adamcore::test

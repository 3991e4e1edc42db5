#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/parameters.hpp"

/// Two rules against the papers' formulas in long double, within the bound that a count of roundings gives.
///
/// With u the unit roundoff, each operation and each rounded constant adds at most u of its result's magnitude; terms
/// that are added count with the sum of their magnitudes, so that cancellation is covered. The other rules have
/// their formulas checked in Python (tests/reference).
namespace adamcore::test {
namespace {

using Wide = long double;

template <class T>
constexpr Wide roundoff = std::numeric_limits<T>::epsilon() / 2;

/// A value by the paper's formula, and by how much an evaluation in T may miss it.
struct Expected {
    Wide value, error;

    template <class T>
    double misses(T actual) const {
        return static_cast<double>(std::fabs(static_cast<Wide>(actual) - value) / error);
    }
};

/// p, m and v, after one step of algorithm 2 of Loshchilov & Hutter 2019 (the learning rate scales the decay too).
template <class T>
std::array<Expected, 3> adamw(const AdamW::Hyper& h, std::int64_t t, Wide p, Wide g, Wide m, Wide v) {
    const Wide u = roundoff<T>;
    const Wide old_m = h.beta1 * m, new_m = (1 - static_cast<Wide>(h.beta1)) * g;
    const Wide old_v = h.beta2 * v, new_v = (1 - static_cast<Wide>(h.beta2)) * g * g;
    const Expected first{old_m + new_m, 3 * u * (std::fabs(old_m) + std::fabs(new_m))};  // constant, product, sum
    const Expected second{old_v + new_v, 4 * u * (old_v + new_v)};                       // one product more

    const Wide m_hat = first.value / (1 - std::pow(static_cast<Wide>(h.beta1), static_cast<Wide>(t)));
    const Wide v_hat = second.value / (1 - std::pow(static_cast<Wide>(h.beta2), static_cast<Wide>(t)));
    const Wide denominator = std::sqrt(v_hat) + h.eps;
    const Wide step = h.lr * m_hat / denominator;
    const Wide decay = h.lr * h.weight_decay * p;
    // Half of v's four, the root, its constant and product, the sum with eps: 6. Quotient, rate, product: 3 more.
    // Then m's own error, carried to the step, and the sum with the decay, itself of a constant and a product.
    const Wide carried =
        first.error * std::fabs(h.lr / (1 - std::pow(static_cast<Wide>(h.beta1), static_cast<Wide>(t)))) / denominator;
    const Wide inner = carried + u * (10 * std::fabs(step) + 3 * std::fabs(decay));
    const Wide value = p - (decay + step);
    return {Expected{value, inner + u * std::fabs(value)}, first, second};
}

/// p and the buffer, after one step of momentum: v = mu v + (1 - tau) (g + lambda p), p = p - lr v. At the first step v
/// is the gradient itself.
template <class T>
std::array<Expected, 2> sgd_momentum(const Sgd::Hyper& h, std::int64_t t, Wide p, Wide g, Wide buffer) {
    const Wide u = roundoff<T>;
    const Wide fresh = t == 1 ? 1 : 1 - static_cast<Wide>(h.dampening);
    const Wide decay = h.weight_decay * p, old = t == 1 ? 0 : h.momentum * buffer;
    const Wide terms = std::fabs(old) + fresh * (std::fabs(g) + std::fabs(decay));
    const Expected velocity{old + fresh * (g + decay), 6 * u * terms};  // two constants, two products, two sums
    const Wide value = p - h.lr * velocity.value;
    const Wide inner = h.lr * (velocity.error + 2 * u * std::fabs(velocity.value));
    return {Expected{value, inner + u * std::fabs(value)}, velocity};
}

template <class T>
class Reference : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Reference, Types, TypeNumber);

constexpr std::int64_t steps[] = {1, 2, 10, 1000, 1000000};

/// Second-order terms of the bounds, and the reference's own roundings, are far below this.
constexpr double slack = 1.01;

TYPED_TEST(Reference, AdamWFollowsThePaper) {
    using T = TypeParam;
    for (const double lr : {1e-3, 1e-1}) {
        const AdamW::Hyper hyper{lr, 0.9, 0.999, 1e-8, 1e-2};
        for (const std::int64_t t : steps) {
            std::mt19937_64 random(static_cast<std::uint64_t>(t));
            Parameter<AdamW, T> before(1003, t, 0, random);
            auto after = before;
            const Tensor view = after.view();
            cpu::step<AdamW>(&view, 1, hyper);
            const auto old = before.pointers(), now = after.pointers();
            int noticed = 0;
            for (std::size_t i = 0; i < 1003; ++i) {
                const auto expected = adamw<T>(hyper, t, old[0][i], old[1][i], old[2][i], old[3][i]);
                ASSERT_LE(expected[0].misses(now[0][i]), slack) << "param " << i << ", t = " << t;
                ASSERT_LE(expected[1].misses(now[2][i]), slack) << "exp_avg " << i << ", t = " << t;
                ASSERT_LE(expected[2].misses(now[3][i]), slack) << "exp_avg_sq " << i << ", t = " << t;
                noticed += expected[0].misses(old[0][i]) > 20;
            }
            EXPECT_GT(noticed, 950) << "the bound is too loose to notice a step that was not taken";
        }
    }
}

TYPED_TEST(Reference, SgdMomentumFollowsThePaper) {
    using T = TypeParam;
    for (const std::int64_t t : steps) {
        const Sgd::Hyper hyper{1e-1, 0.9, 0.3, t % 10 == 0 ? 0 : 1e-2};
        std::mt19937_64 random(static_cast<std::uint64_t>(t));
        Parameter<SgdMomentum, T> before(1003, t, 0, random);
        auto after = before;
        const Tensor view = after.view();
        cpu::step<SgdMomentum>(&view, 1, hyper);
        const auto old = before.pointers(), now = after.pointers();
        for (std::size_t i = 0; i < 1003; ++i) {
            const auto expected = sgd_momentum<T>(hyper, t, old[0][i], old[1][i], old[2][i]);
            ASSERT_LE(expected[0].misses(now[0][i]), slack) << "param " << i << ", t = " << t;
            ASSERT_LE(expected[1].misses(now[2][i]), slack) << "momentum_buffer " << i << ", t = " << t;
        }
    }
}

}  // namespace
}  // namespace adamcore::test

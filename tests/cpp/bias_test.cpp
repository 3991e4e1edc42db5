#include "adamcore/bias.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace adamcore {
namespace {

#if defined(__SIZEOF_FLOAT128__)
__extension__ using Quad = __float128;
#else
using Quad = long double;
#endif

/// 1 - beta^t by repeated squaring with 113 bits, or as many as this compiler has.
Quad exact_correction(double beta, std::int64_t t) {
    Quad power = 1, square = beta;
    for (; t > 0; t /= 2) {
        if (t % 2) power *= square;
        square *= square;
    }
    return 1 - power;
}

double relative_error(double beta, std::int64_t t) {
    const Quad exact = exact_correction(beta, t);
    return std::fabs(static_cast<double>((bias::correction(beta, t) - exact) / exact));
}

constexpr double ulp = 0x1p-52;

class Correction : public testing::TestWithParam<double> {};

TEST_P(Correction, IsWithinAnUlpForEveryEarlyStep) {
    for (std::int64_t t = 1; t <= 5000; ++t) ASSERT_LE(relative_error(GetParam(), t), ulp) << "t = " << t;
}

TEST_P(Correction, IsWithinAnUlpUpToTwoToThe31) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 5000; ++i) {
        const auto t = static_cast<std::int64_t>(1 + (random() >> (33 + random() % 31)));
        ASSERT_LE(relative_error(GetParam(), t), ulp) << "t = " << t;
    }
    for (const std::int64_t t : {2147483647LL, 2147483648LL, 4294967297LL}) {
        ASSERT_LE(relative_error(GetParam(), t), ulp) << "t = " << t;
    }
}

TEST_P(Correction, IsZeroBeforeTheFirstStepAndOneMinusBetaAfter) {
    EXPECT_EQ(bias::correction(GetParam(), 0), 0.0);
    EXPECT_EQ(bias::correction(GetParam(), 1), 1 - GetParam());
}

TEST_P(Correction, HasTheSameBitsFromTheLastStepsPowers) {
    const double beta = GetParam();
    bias::Powers known{-1, 0, {}};
    std::mt19937_64 random(3);
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1} << 20, (std::int64_t{1} << 31) - 1000}) {
        std::int64_t t = start;
        for (int i = 0; i < 3000; ++i) {
            ++t;
            ASSERT_EQ(bias::correction(known, beta, t), bias::correction(beta, t)) << "t = " << t;
            if (random() % 64 == 0) t += static_cast<std::int64_t>(random() % 300);  // a checkpoint is loaded
            if (random() % 64 == 0) --t;                                             // a step is skipped
        }
    }
}

/// Decays and numbers of steps at random, and runs of steps from each.
TEST(Powers, LeaveEveryBitForRandomDecays) {
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (int i = 0; i < 20000; ++i) {
        const double beta = random() % 2 == 0 ? uniform(random) : 1 - std::exp2(-40 * uniform(random));
        if (!(beta < 1)) continue;
        bias::Powers known{-1, 0, {}};
        const auto start = static_cast<std::int64_t>(random() >> (1 + random() % 63));
        for (std::int64_t t = start; t < start + 20 && t > 0; ++t)
            ASSERT_EQ(bias::correction(known, beta, t), bias::correction(beta, t)) << beta << ", t = " << t;
    }
}

TEST(Powers, BelongToTheirDecay) {
    bias::Powers known{-1, 0, {}};
    for (std::int64_t t = 1; t < 100; ++t) {
        const double beta = t % 3 == 0 ? 0.9 : 0.999;
        ASSERT_EQ(bias::correction(known, beta, t), bias::correction(beta, t));
    }
}

INSTANTIATE_TEST_SUITE_P(Betas, Correction,
                         testing::Values(0.0, 1e-300, 0.5, 0.9, 0.999, 0.9999, 0.999999, 1 - 1e-10, 1 - 0x1p-53));

TEST(ExactProduct, LosesNothing) {
    std::mt19937_64 random(11);
    std::uniform_real_distribution<double> uniform(0.5, 1.0);
    for (int i = 0; i < 10000; ++i) {
        const double a = uniform(random), b = uniform(random);
        const DoubleDouble product = double_double::exact_product(a, b);
        ASSERT_EQ(product.high, a * b);
        ASSERT_EQ(product.low, std::fma(a, b, -product.high));
    }
}

}  // namespace
}  // namespace adamcore

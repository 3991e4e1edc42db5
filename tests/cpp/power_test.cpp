#include "adamcore/power.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "support/power_values.hpp"
#include "support/powers.hpp"

namespace adamcore::test {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double tiny = std::numeric_limits<double>::denorm_min();
constexpr double huge = std::numeric_limits<double>::max();

std::uint64_t bits_of(double x) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define EXPECT_SAME(got, expected) EXPECT_EQ(bits_of(got), bits_of(expected)) << (got) << " and " << (expected)

TEST(Pow, HasTheSpecialCasesOfIeee754) {
    for (const double x : {0.0, -0.0, 1.0, -1.0, 3.0, -3.5, tiny, huge, inf, -inf, nan, -nan}) {
        EXPECT_SAME(power::pow(x, 0.0), 1.0);
        EXPECT_SAME(power::pow(x, -0.0), 1.0);
        EXPECT_SAME(power::pow(1.0, x), 1.0);
    }
    struct Case {
        double x, y, result;
    };
    const Case cases[] = {{nan, 1, nan},
                          {-nan, 2, nan},
                          {2, nan, nan},
                          {2, -nan, nan},
                          {-1, nan, nan},
                          {0, nan, nan},
                          {inf, nan, nan},
                          {-2, 0.5, nan},
                          {-tiny, -1.5, nan},
                          {-huge, 1e-300, nan},
                          {-1, 0.5, nan},
                          {0.0, -1, inf},
                          {-0.0, -1, -inf},
                          {-0.0, -3, -inf},
                          {-0.0, -2, inf},
                          {0.0, -0.5, inf},
                          {-0.0, -0.5, inf},
                          {-0.0, -inf, inf},
                          {0.0, inf, 0.0},
                          {-0.0, inf, 0.0},
                          {0.0, 3, 0.0},
                          {-0.0, 3, -0.0},
                          {-0.0, 2, 0.0},
                          {-0.0, 0.5, 0.0},
                          {-0.0, 0x1p53, 0.0},
                          {-1, inf, 1},
                          {-1, -inf, 1},
                          {-1, 0x1p53, 1},
                          {-1, 0x1p53 - 1, -1},
                          {-1, -huge, 1},
                          {0.5, -inf, inf},
                          {-0.5, -inf, inf},
                          {0.5, inf, 0.0},
                          {-0.5, inf, 0.0},
                          {2, -inf, 0.0},
                          {-2, -inf, 0.0},
                          {2, inf, inf},
                          {-2, inf, inf},
                          {inf, 1e-300, inf},
                          {inf, -1e-300, 0.0},
                          {inf, inf, inf},
                          {inf, -inf, 0.0},
                          {-inf, -3, -0.0},
                          {-inf, -2, 0.0},
                          {-inf, -0.5, 0.0},
                          {-inf, 3, -inf},
                          {-inf, 2, inf},
                          {-inf, 0.5, inf},
                          {-inf, inf, inf},
                          {-inf, -inf, 0.0},
                          {2, 1024, inf},
                          {-2, 1025, -inf},
                          {2, -1076, 0.0},
                          {-2, -1077, -0.0},
                          {2, 1e308, inf},
                          {1 - 0x1p-53, huge, 0.0},
                          {1 + 0x1p-52, huge, inf},
                          {huge, huge, inf},
                          {tiny, huge, 0.0},
                          {tiny, -huge, inf},
                          {huge, tiny, 1},
                          {tiny, tiny, 1},
                          {1 + 0x1p-52, tiny, 1}};
    for (const Case& c : cases) EXPECT_SAME(power::pow(c.x, c.y), c.result) << ": " << c.x << "^" << c.y;
}

TEST(Pow, IsExactWhereTheResultIs) {
    PowerArguments arguments;
    for (int i = 0; i < 20000; ++i) {
        const double x = arguments.any();
        if (x == x) {
            ASSERT_EQ(power::pow(x, 1), x);
        }
        const double root = std::floor(arguments.below(26));
        ASSERT_EQ(power::pow(root, 2), root * root);
        ASSERT_EQ(power::pow(root * root, 0.5), std::fabs(root));
    }
    for (int base = 2; base <= 100; ++base) {
        double product = base;
        for (int n = 1; product < 0x1p53; ++n, product *= base) {
            ASSERT_EQ(power::pow(base, n), product);
            ASSERT_EQ(power::pow(-base, n), n % 2 != 0 ? -product : product);
        }
    }
    for (int n = -1074; n < 1024; ++n) {
        ASSERT_EQ(power::pow(2, n), std::ldexp(1.0, n));
        ASSERT_EQ(power::pow(0.5, -n), std::ldexp(1.0, n));
    }
}

TEST(Exp2, IsExactForIntegersAndHasTheSpecialCases) {
    for (int n = -1074; n < 1024; ++n) ASSERT_EQ(power::exp2(n), std::ldexp(1.0, n));
    EXPECT_SAME(power::exp2(nan), nan);
    EXPECT_SAME(power::exp2(-nan), nan);
    EXPECT_SAME(power::exp2(-0.0), 1.0);
    EXPECT_SAME(power::exp2(-tiny), 1.0);
    for (const double x : {1024.0, 1e5, huge, inf}) EXPECT_SAME(power::exp2(x), inf);
    for (const double x : {-1075.0, -1076.5, -1e5, -huge, -inf}) EXPECT_SAME(power::exp2(x), 0.0);
    EXPECT_SAME(power::exp2(std::nextafter(1024.0, 0.0)), huge - 0x1p971 * 709);
    EXPECT_SAME(power::exp2(-1074.99), tiny);
}

TEST(Log2, IsExactForPowersOfTwoAndHasTheSpecialCases) {
    for (int n = -1074; n < 1024; ++n) ASSERT_EQ(power::log2(std::ldexp(1.0, n)), n);
    EXPECT_SAME(power::log2(1.0), 0.0);
    EXPECT_SAME(power::log2(0.0), -inf);
    EXPECT_SAME(power::log2(-0.0), -inf);
    EXPECT_SAME(power::log2(inf), inf);
    for (const double x : {nan, -nan, -tiny, -1.0, -inf}) EXPECT_SAME(power::log2(x), nan);
}

TEST(Cospi, IsExactForHalvesEvenAndPeriodic) {
    for (int n = -5000; n <= 5000; ++n) {
        ASSERT_EQ(power::cospi(n), n % 2 != 0 ? -1 : 1);
        ASSERT_EQ(bits_of(power::cospi(n + 0.5)), bits_of(0.0));
    }
    for (const double x : {0x1p52 - 0.5, 0x1p51 + 0.5, 0x1p52 - 1.5}) EXPECT_SAME(power::cospi(x), 0.0);
    for (const double x : {0x1p52 + 1, 0x1p53 - 1, 0x1p52 - 1}) EXPECT_SAME(power::cospi(x), -1.0);
    for (const double x : {0x1p52, 0x1p53, 0x1p53 + 2, 0x1p60, huge, tiny, -0.0}) EXPECT_SAME(power::cospi(x), 1.0);
    for (const double x : {nan, -nan, inf, -inf}) EXPECT_SAME(power::cospi(x), nan);
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> uniform(0, 2);
    for (int i = 0; i < 10000; ++i) {
        const double x = std::floor(uniform(random) * 0x1p30) * 0x1p-30;  // so that sums are exact
        ASSERT_EQ(power::cospi(-x), power::cospi(x));
        ASSERT_EQ(power::cospi(x + 2), power::cospi(x));
        ASSERT_EQ(power::cospi(x + 0x1p20), power::cospi(x));
        ASSERT_EQ(power::cospi(x + 1), -power::cospi(x) + 0.0);
    }
}

TEST(Power, HasTheBitsOfEveryProcessor) {
    const PowerHashes hashes = power_hashes();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(hashes.of[i], power_hashes_everywhere.of[i]) << i;
}

/// The order of doubles as integers: neighbours differ by 1.
std::int64_t place_of(double x) {
    const auto bits = static_cast<std::int64_t>(bits_of(x));
    return bits < 0 ? std::numeric_limits<std::int64_t>::min() - bits : bits;
}

template <class F, std::size_t count>
void expect_near(const PowerValue (&values)[count], F&& f) {
    for (const PowerValue& v : values)
        EXPECT_LE(std::abs(place_of(f(v)) - place_of(v.value)), 1) << v.x << ", " << v.y << ": " << v.value;
}

TEST(Power, IsWithinAnUlpOfStoredValues) {
    expect_near(pow_values, [](const PowerValue& v) { return power::pow(v.x, v.y); });
    expect_near(exp2_values, [](const PowerValue& v) { return power::exp2(v.x); });
    expect_near(log2_values, [](const PowerValue& v) { return power::log2(v.x); });
    expect_near(cospi_values, [](const PowerValue& v) { return power::cospi(v.x); });
}

}  // namespace
}  // namespace adamcore::test

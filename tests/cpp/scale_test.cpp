#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "adamcore/scale.hpp"

/// Multipliers of gradients of any size. The reference is long double, where that has a wider exponent than double.
namespace adamcore::test {
namespace {

static_assert(std::numeric_limits<long double>::max_exponent > 16000, "the reference needs a wide exponent");

long double wide(Scale a) { return std::ldexp(static_cast<long double>(a.number), a.power); }

class Random {
public:
    /// Of any magnitude from 2^least to 2^most.
    long double number(int least, int most) {
        const int exponent = least + static_cast<int>(random_() % static_cast<unsigned>(most - least));
        return std::ldexp(1 + static_cast<long double>(random_() >> 12) * 0x1p-52L, exponent);
    }
    /// Powers of their own, too, as nothing but tests makes them.
    Scale scale(int least, int most) {
        const int power = static_cast<int>(random_() % 400) - 200;
        return {static_cast<double>(number(least, most)), random_() % 2 == 0 ? 0 : power};
    }

private:
    std::mt19937_64 random_{83};
};

bool is_close(Scale found, long double expected) { return std::fabs(wide(found) - expected) <= expected * 0x1p-52L; }

TEST(Scale, ProductsAndQuotientsNeitherOverflowNorUnderflow) {
    Random random;
    for (int i = 0; i < 200000; ++i) {
        const Scale a = random.scale(-1070, 1020), b = random.scale(-1070, 1020);
        ASSERT_TRUE(is_close(a * b, wide(a) * wide(b)));
        ASSERT_TRUE(is_close(a / b, wide(a) / wide(b)));
        ASSERT_EQ(a < b, wide(a) < wide(b));
    }
}

TEST(Scale, UsualArithmeticIsThatOfDoubles) {
    Random random;
    for (int i = 0; i < 100000; ++i) {
        const auto a = static_cast<double>(random.number(-470, 470)), b = static_cast<double>(random.number(-470, 470));
        ASSERT_EQ((Scale(a) * b).number, a * b);
        ASSERT_EQ((Scale(a) * b).power, 0);
        ASSERT_EQ((Scale(a) / b).number, a / b);
        ASSERT_EQ((Scale(a) / b).power, 0);
        // By way of what has a power.
        ASSERT_EQ((Scale(a) * 0x1p-900 * 0x1p-900) * 0x1p1000 * 0x1p800, Scale(a));
    }
    EXPECT_EQ(Scale(0) * 0x1p-900, Scale(0));
    EXPECT_EQ(Scale(1) / 0x1p-1074, Scale(0.5, 1075));
    EXPECT_EQ(scale::value(Scale(0.5, 1075)), std::numeric_limits<double>::infinity());
    EXPECT_EQ(scale::value(Scale(0.5, -1075)), 0.0);
    EXPECT_EQ(scale::value(Scale(0.75, -1073)), 0x1p-1074 * 2);
}

template <class T>
class MultiplierOf : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(MultiplierOf, Types, );

template <class T>
void expect_close_product(Scale scale, T x) {
    using Limits = std::numeric_limits<T>;
    const long double exact = wide(scale) * static_cast<long double>(x);
    const T found = scale::multiplier<T>(scale)(x);
    if (exact > static_cast<long double>(Limits::max())) {
        ASSERT_GE(found, Limits::max());
        return;
    }
    const long double unit = std::fmax(std::ldexp(1.0L, std::ilogb(exact) - Limits::digits + 1),
                                       static_cast<long double>(Limits::denorm_min()));
    ASSERT_LE(std::fabs(static_cast<long double>(found) - exact), 1.51L * unit)
        << std::hexfloat << scale.number << " * 2^" << scale.power << " of " << x;
}

TYPED_TEST(MultiplierOf, IsRightWhereverNumberAndProductAre) {
    using T = TypeParam;
    constexpr bool is_float = sizeof(T) == 4;
    constexpr int lowest = is_float ? -149 : -1074, highest = is_float ? 127 : 1023;
    Random random;
    for (int i = 0; i < 300000; ++i) {
        const auto x = static_cast<T>(random.number(lowest, highest));
        // Scales that bring x somewhere into the range of T.
        const long double product = random.number(lowest - 2, highest + 1);
        const long double ratio = product / static_cast<long double>(x);
        const int exponent = std::ilogb(ratio);
        if (exponent >= (is_float ? 253 : 2044)) continue;
        const Scale scale = scale::normalised(static_cast<double>(std::ldexp(ratio, -exponent)), exponent);
        ASSERT_NO_FATAL_FAILURE(expect_close_product(scale, x));
    }
}

TYPED_TEST(MultiplierOf, IsOneNumberWhereTHasIt) {
    using T = TypeParam;
    using Limits = std::numeric_limits<T>;
    for (const double usual : {1.0, -1.0, 0.3, 1e-30, 1e30, double{Limits::min()}, double{Limits::max()}}) {
        const auto multiplier = scale::multiplier<T>(usual);
        EXPECT_EQ(multiplier.first, static_cast<T>(usual));
        EXPECT_EQ(multiplier.second, T(1));
    }
    EXPECT_EQ(scale::multiplier<T>(0.0)(T(3)), T(0));
    EXPECT_TRUE(std::isnan(scale::multiplier<T>(0.0)(Limits::infinity())));
    EXPECT_EQ(scale::multiplier<T>(Scale(0.5, -2000))(Limits::infinity()), Limits::infinity());
    EXPECT_EQ(scale::multiplier<T>(-0.5)(Limits::infinity()), -Limits::infinity());
}

}  // namespace
}  // namespace adamcore::test

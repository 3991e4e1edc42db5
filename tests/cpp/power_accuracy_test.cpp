#include <gtest/gtest.h>
#include <quadmath.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "adamcore/power.hpp"

/// The errors of power.hpp's functions, found with those of GCC that have 113 bits.
namespace adamcore::test {
namespace {

__extension__ using Quad = __float128;

/// 200,000 for each function, or what ADAMCORE_POWER_ARGUMENTS says.
long argument_count() {
    if (const char* count = std::getenv("ADAMCORE_POWER_ARGUMENTS")) return std::atol(count);
    return std::getenv("ADAMCORE_EXHAUSTIVE") ? 1000000 : 200000;
}

/// The error in units in the last place of the exact value. Infinity counts as 2^1024, and so does all beyond it.
double ulps(double result, Quad exact) {
    const Quad top = ldexpq(1, 1024);
    const Quad value = std::isinf(result) ? (result > 0 ? top : -top) : Quad(result);
    const Quad want = fminq(fmaxq(exact, -top), top);
    int exponent;
    frexpq(want, &exponent);
    const int place = std::min(std::max(exponent, -1021), 1024) - 53;
    return static_cast<double>(fabsq(value - want) / ldexpq(1, place));
}

/// Draws arguments from several distributions, one of them for each argument.
class Arguments {
public:
    double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
    double any() {
        double x;
        do {
            const std::uint64_t bits = random_();
            std::memcpy(&x, &bits, sizeof x);
        } while (x - x != 0);
        return x;
    }
    /// A number near to `x`, at any scale.
    double near(double x) { return x + std::ldexp(uniform(-1, 1), -pick(60)); }
    double subnormal() { return std::ldexp(uniform(0, 1), -1022); }
    int pick(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }

    double exponent() {
        switch (pick(6)) {
            case 0: return uniform(-1, 1);
            case 1: return any();
            case 2: return uniform(-1077, -1020);
            case 3: return uniform(1020, 1025);
            case 4: return near(pick(2100) - 1075);
            default: return uniform(-1100, 1100);
        }
    }

    /// Above 0.
    double base() {
        double x;
        do {
            switch (pick(6)) {
                case 0: x = uniform(0.5, 2); break;
                case 1: x = near(1); break;
                case 2: x = subnormal(); break;
                case 3: x = near(pick(64) / 32.0); break;
                case 4: x = uniform(0, 100); break;
                default: x = any();
            }
        } while (!(x > 0));
        return x;
    }

    double angle() {
        switch (pick(5)) {
            case 0: return any();
            case 1: return near(pick(20) / 2.0 - 5);
            case 2: return uniform(0, 0x1p53);
            case 3: return uniform(-1000, 1000);
            default: return uniform(0, 2);
        }
    }

private:
    std::mt19937_64 random_{17};
};

/// Prints the largest error, and fails if it is an ulp or more. `one(arguments, text)` returns the error for one draw.
template <class One>
void expect_accurate(const char* name, One&& one) {
    Arguments arguments;
    double worst = 0, at[2] = {0, 0};
    const long count = argument_count();
    for (long i = 0; i < count; ++i) {
        double drawn[2] = {0, 0};
        const double error = one(arguments, drawn);
        if (!(error <= worst)) worst = error, at[0] = drawn[0], at[1] = drawn[1];
    }
    std::printf("%s: the largest error for %ld arguments is %.4f ulp, at %a, %a\n", name, count, worst, at[0], at[1]);
    EXPECT_LT(worst, 1.0) << name;
}

TEST(PowerAccuracy, OfPowIsWithinAnUlp) {
    expect_accurate("pow", [](Arguments& arguments, double* drawn) {
        const double x = drawn[0] = arguments.base();
        double y = arguments.exponent();
        switch (arguments.pick(4)) {
            case 0: break;
            case 1: y = arguments.pick(200) - 100; break;
            default:  // so that the result is usual, or close to the largest or smallest
                if (x != 1) y /= std::log2(x);
        }
        drawn[1] = y;
        return ulps(power::pow(x, y), powq(x, y));
    });
}

TEST(PowerAccuracy, OfExp2IsWithinAnUlp) {
    expect_accurate("exp2", [](Arguments& arguments, double* drawn) {
        const double x = drawn[0] = arguments.exponent();
        return ulps(power::exp2(x), powq(2, x));
    });
}

TEST(PowerAccuracy, OfLog2IsWithinAnUlp) {
    expect_accurate("log2", [](Arguments& arguments, double* drawn) {
        const double x = drawn[0] = arguments.base();
        return ulps(power::log2(x), log2q(x));
    });
}

/// Its argument is reduced exactly, and to where no digits cancel.
Quad exact_cospi(double x) {
    static const Quad pi = acosq(-1);
    Quad distance = fmodq(fabsq(Quad(x)), 2);
    if (distance > 1) distance = 2 - distance;
    if (distance > Quad(0.75)) return -cosq(pi * (1 - distance));
    return distance > Quad(0.25) ? sinq(pi * (Quad(0.5) - distance)) : cosq(pi * distance);
}

TEST(PowerAccuracy, OfCospiIsWithinAnUlp) {
    expect_accurate("cospi", [](Arguments& arguments, double* drawn) {
        const double x = drawn[0] = arguments.angle();
        return ulps(power::cospi(x), exact_cospi(x));
    });
}

}  // namespace
}  // namespace adamcore::test

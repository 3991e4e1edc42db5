#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "adamcore/double_double.hpp"
#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"

/// pow, exp2, log2 and cos(pi x) of doubles, within an ulp and with the same bits on every processor and device.
///
/// libm's functions differ in the last bit between libraries. These use only + - * / in a fixed order, and are for
/// numbers that are computed once a step, such as learning rates. The series are Taylor's: reduced arguments are so
/// small that few terms are needed. Terms that matter beyond the 53rd bit are computed in double-double. The calling
/// thread must round to nearest and keep subnormals, as in a cpu::FloatEnvironment.
///
/// Constants are pairs (high, low) of the 53 bits of a number and the 53 that follow. In Python:
/// high = float(x), low = float(x - mpmath.mpf(high)), where x is, for example, mpmath.pi with mpmath.mp.prec = 300.
///
/// Special cases are those of IEEE 754. A NaN is always the positive quiet one, whatever the arguments.
namespace adamcore::power {

namespace detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

ADAMCORE_FN double magnitude(double x) noexcept { return x < 0 ? -x : x; }

ADAMCORE_FN bool has_sign(double x) noexcept {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits >> 63 != 0;
}

/// The integer nearest to `x`, and away from zero if two are, for |x| < 2^62.
ADAMCORE_FN std::int64_t nearest(double x) noexcept {
    const auto whole = static_cast<std::int64_t>(x);
    const double rest = x - static_cast<double>(whole);
    return whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
}

ADAMCORE_FN constexpr double inverse_factorial(int n) noexcept {
    double factorial = 1;
    for (int i = 2; i <= n; ++i) factorial *= i;
    return 1 / factorial;
}

/// 1/first! + x/(first + 2)! + x^2/(first + 4)! + ..., up to the term with last!.
template <int first, int last>
ADAMCORE_FN double series(double x) noexcept {
    constexpr double term = inverse_factorial(first);
    if constexpr (first < last) {
        return term + x * series<first + 2, last>(x);
    } else {
        return term;
    }
}

/// log2(j / 32), for j from 23 to 45.
ADAMCORE_FN DoubleDouble log2_of_32nds(int j) noexcept {
    constexpr DoubleDouble values[] = {
        {-0x1.e7df5fe538ab3p-2, -0x1.3bed456b24ed1p-56}, {-0x1.a8ff971810a5ep-2, -0x1.817fd3b7d7e5dp-58},
        {-0x1.6cb0f6865c8eap-2, -0x1.b6d40900b2502p-61}, {-0x1.32bfee370ee68p-2, -0x1.968925e378d68p-56},
        {-0x1.f5fd8a9063e35p-3, 0x1.bdc0426c3c274p-57},  {-0x1.8a8980abfbd32p-3, -0x1.99aa6df8b7d83p-57},
        {-0x1.22dadc2ab3497p-3, 0x1.696e2866c718ep-58},  {-0x1.7d60496cfbb4cp-4, -0x1.9ced1447e30adp-58},
        {-0x1.77394c9d958d5p-5, -0x1.77970e03f821cp-59}, {0.0, 0.0},
        {0x1.6bad3758efd87p-5, 0x1.89b03784b5be1p-60},   {0x1.663f6fac91316p-4, 0x1.f3314e0985116p-58},
        {0x1.08c588cda79e4p-3, -0x1.a7610e40bd6abp-57},  {0x1.5c01a39fbd688p-3, -0x1.817fd3b7d7e5dp-57},
        {0x1.acf5e2db4ec94p-3, -0x1.01ee1343fe7cap-59},  {0x1.fbc16b902680ap-3, 0x1.1d46ccc53c278p-58},
        {0x1.24407ab0e073ap-2, -0x1.f6e91ad16ecffp-56},  {0x1.49a784bcd1b8bp-2, -0x1.b6d40900b2502p-62},
        {0x1.6e221cd9d0cdep-2, 0x1.5e35482d13dc1p-56},   {0x1.91bba891f1709p-2, -0x1.2d352bea51e59p-56},
        {0x1.b47ebf73882a1p-2, -0x1.6fae441c09d76p-56},  {0x1.d6753e032ea0fp-2, -0x1.c141e66faaaadp-62},
        {0x1.f7a8568cb06cfp-2, -0x1.8f3673ffdd785p-57},
    };
    return values[j - 23];
}

/// log2(m / c) = 2 / ln 2 * atanh((m - c) / (m + c)), for |m - c| <= 1/64 and c from 23/32 to 45/32. The low part is
/// below 2^-12 of the high one.
ADAMCORE_FN DoubleDouble log2_of_ratio(double m, double c) noexcept {
    const double difference = m - c, sum = m + c;
    const double sum_low = m - (sum - c);
    const double inverse = 1 / sum;
    const double s = difference * inverse;
    const DoubleDouble back = double_double::exact_product(s, sum);
    const double s_low = (((difference - back.high) - back.low) - s * sum_low) * inverse;
    const double z = s * s;
    const double tail = z * (1 / 3.0 + z * (1 / 5.0 + z * (1 / 7.0 + z * (1 / 9.0 + z * (1 / 11.0)))));
    constexpr DoubleDouble two_over_ln2{0x1.71547652b82fep+1, 0x1.777d0ffda0d24p-55};
    const DoubleDouble first = double_double::product({s, 0.0}, two_over_ln2);
    return {first.high, first.low + two_over_ln2.high * (s_low + s * tail)};
}

/// log2(x) within 2^-65 of it, for 0 < x < infinity.
ADAMCORE_FN DoubleDouble log2(double x) noexcept {
    const Scale parts = scale::with_power(x);
    const bool is_low = parts.number < 0x1.6a09e667f3bcdp-1;  // sqrt(1/2), so that no digits cancel below
    const double m = is_low ? 2 * parts.number : parts.number;
    const double power = parts.power - (is_low ? 1 : 0);
    const int j = static_cast<int>(32 * m + 0.5);
    const DoubleDouble coarse = log2_of_32nds(j), fine = log2_of_ratio(m, j * 0x1p-5);
    const DoubleDouble of_m = double_double::ordered_sum(coarse.high, fine.high);
    const DoubleDouble all = double_double::ordered_sum(power, of_m.high);
    return double_double::ordered_sum(all.high, all.low + (of_m.low + (coarse.low + fine.low)));
}

/// 2^x, for |x| < 1100.
ADAMCORE_FN double exp2(DoubleDouble x) noexcept {
    const double power = (x.high + 0x1.8p52) - 0x1.8p52;  // rounds to an integer
    const DoubleDouble rest = double_double::ordered_sum(x.high - power, x.low);
    constexpr DoubleDouble ln2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
    const DoubleDouble g = double_double::product(rest, ln2), square = double_double::product(g, g);
    // e^g = 1 + g + g^2/2 + tail
    const double g2 = square.high;
    const double tail = (g.high * g2) * (series<3, 13>(g2) + g.high * series<4, 14>(g2));
    const DoubleDouble first = double_double::ordered_sum(1.0, g.high);
    const DoubleDouble second = double_double::ordered_sum(first.high, 0.5 * g2);
    const double low = (first.low + second.low) + (g.low + 0.5 * square.low);
    return scale::times_power(second.high + (tail + low), static_cast<std::int32_t>(power));
}

/// sin(g), for |g| <= pi/4.
ADAMCORE_FN double sine(DoubleDouble g) noexcept {
    const double u = -(g.high * g.high);
    return g.high + (g.low * (1 + 0.5 * u) + (g.high * u) * series<3, 17>(u));
}

/// cos(g), for |g| <= pi/4.
ADAMCORE_FN double cosine(DoubleDouble g) noexcept {
    const DoubleDouble square = double_double::product(g, g);
    const double u = -square.high;
    const DoubleDouble first = double_double::ordered_sum(1.0, 0.5 * u);
    return first.high + ((u * u) * series<4, 18>(u) + (first.low - 0.5 * square.low));
}

/// x^y, for x >= 0 and y != 0.
ADAMCORE_FN double pow_of_magnitude(double x, double y) noexcept {
    if (x == 1) return 1;
    if (x == 0 || x == infinity) return (x == 0) == (y > 0) ? 0 : infinity;
    const DoubleDouble logarithm = log2(x);
    const double rough = y * logarithm.high;
    if (rough >= 1025) return infinity;
    if (rough <= -1077) return 0;
    return exp2(double_double::multiply(logarithm, {y, 0.0}));
}

ADAMCORE_FN bool is_integer(double y) noexcept {
    return magnitude(y) >= 0x1p53 || static_cast<double>(static_cast<std::int64_t>(y)) == y;
}

ADAMCORE_FN bool is_odd(double y) noexcept {
    return magnitude(y) < 0x1p53 && is_integer(y) && static_cast<std::int64_t>(y) % 2 != 0;
}

}  // namespace detail

/// 2^x. NaN gives NaN.
ADAMCORE_CALL double exp2(double x) noexcept {
    if (x != x) return detail::nan;
    if (x >= 1024) return detail::infinity;
    if (x <= -1077) return 0;
    return detail::exp2({x, 0.0});
}

/// The logarithm to base 2. It is -infinity for zeros, and NaN for negative numbers and NaN.
ADAMCORE_CALL double log2(double x) noexcept {
    if (x == 0) return -detail::infinity;
    if (!(x > 0)) return detail::nan;
    return x == detail::infinity ? x : detail::log2(x).high;
}

/// x^y. It is 1 if `y` is 0 or `x` is 1, even if the other one is NaN. A negative finite `x` needs an integer `y`;
/// other `y` give NaN. The sign is that of `x`, zeros included, if `y` is an odd integer, and positive otherwise.
ADAMCORE_CALL double pow(double x, double y) noexcept {
    if (y == 0 || x == 1) return 1;
    if (x != x || y != y) return detail::nan;
    if (x < 0 && x > -detail::infinity && !detail::is_integer(y)) return detail::nan;
    const double result = detail::pow_of_magnitude(detail::magnitude(x), y);
    return detail::has_sign(x) && detail::is_odd(y) ? -result : result;
}

/// cos(pi x), within an ulp. It is exact where x is a multiple of 1/2, and NaN if x is not finite.
ADAMCORE_CALL double cospi(double x) noexcept {
    if (x - x != 0) return detail::nan;
    const double distance = detail::magnitude(x);
    if (distance >= 0x1p53) return 1;  // an even integer
    const std::int64_t halves = detail::nearest(2 * distance);
    const double rest = distance - 0.5 * static_cast<double>(halves);  // exact
    constexpr DoubleDouble pi{0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53};
    const DoubleDouble angle = double_double::product({rest, 0.0}, pi);
    if (halves % 2 == 0) return halves % 4 == 0 ? detail::cosine(angle) : -detail::cosine(angle);
    return rest == 0 ? 0 : halves % 4 == 1 ? -detail::sine(angle) : detail::sine(angle);
}

}  // namespace adamcore::power

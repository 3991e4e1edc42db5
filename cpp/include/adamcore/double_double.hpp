#pragma once

#include "adamcore/math.hpp"

namespace adamcore {

/// An unevaluated sum of two doubles: about 106 bits of significand.
struct DoubleDouble {
    double high, low;
};

namespace double_double {

/// The exact sum of two doubles (Dekker 1971), if `a` is 0 or |a| >= |b|.
ADAMCORE_FN DoubleDouble ordered_sum(double a, double b) noexcept {
    const double sum = a + b;
    return {sum, b - (sum - a)};
}

/// The exact product of two doubles (Dekker 1971, with Veltkamp's splitting), for factors below 2^995.
ADAMCORE_FN DoubleDouble exact_product(double a, double b) noexcept {
    constexpr double splitter = 134217729.0;  // 2^27 + 1
    const double a_shifted = splitter * a, b_shifted = splitter * b;
    const double a_high = a_shifted - (a_shifted - a), a_low = a - a_high;
    const double b_high = b_shifted - (b_shifted - b), b_low = b - b_high;
    const double product = a * b;
    const double error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    return {product, error};
}

/// a * b, whose low part may be larger than half an ulp of the high one.
ADAMCORE_FN DoubleDouble product(DoubleDouble a, DoubleDouble b) noexcept {
    const DoubleDouble p = exact_product(a.high, b.high);
    return {p.high, p.low + (a.high * b.low + a.low * b.high)};
}

/// The same, with a low part of at most half an ulp.
ADAMCORE_FN DoubleDouble multiply(DoubleDouble a, DoubleDouble b) noexcept {
    const DoubleDouble p = product(a, b);
    return ordered_sum(p.high, p.low);
}

}  // namespace double_double
}  // namespace adamcore

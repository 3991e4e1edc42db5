#pragma once

#include <cstdint>

#include "adamcore/math.hpp"

namespace adamcore::bias {

/// An unevaluated sum of two doubles: about 106 bits of significand.
struct DoubleDouble {
    double high, low;
};

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

ADAMCORE_FN DoubleDouble multiply(DoubleDouble a, DoubleDouble b) noexcept {
    const DoubleDouble p = exact_product(a.high, b.high);
    const double low = p.low + (a.high * b.low + a.low * b.high);
    const double high = p.high + low;
    return {high, low - (high - p.high)};
}

/// `1 - beta^t`, within an ulp of the true value for every `beta` in [0, 1) and `t` >= 0.
///
/// Integer powers by squaring, in double-double: libm's pow, expm1 and log1p differ between
/// libraries and processors in the last bit, a plain double loses 1 - beta^t to cancellation when
/// beta is near 1, and a running product drifts.
ADAMCORE_FN double correction(double beta, std::int64_t t) noexcept {
    DoubleDouble power{1.0, 0.0};
    int bit = 62;
    while (bit >= 0 && ((t >> bit) & 1) == 0) --bit;
    for (; bit >= 0; --bit) {
        power = multiply(power, power);
        if ((t >> bit) & 1) power = multiply(power, {beta, 0.0});
    }
    return (1.0 - power.high) - power.low;
}

}  // namespace adamcore::bias

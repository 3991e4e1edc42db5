#pragma once

#include <cstdint>

#include "adamcore/double_double.hpp"
#include "adamcore/math.hpp"

namespace adamcore::bias {

/// Returns beta^(2n) or beta^(2n + 1), given beta^n. A value too small to affect 1 - beta^t becomes 0.
ADAMCORE_FN DoubleDouble next_power(DoubleDouble power, double beta, bool odd) noexcept {
    DoubleDouble factor = power;
    ADAMCORE_ROLLED
    for (int k = 0; k < (odd ? 2 : 1); ++k) {
        power = double_double::multiply(power, factor);
        factor = {beta, 0.0};
    }
    return power.high < 0x1p-60 ? DoubleDouble{0.0, 0.0} : power;
}

/// The position of the highest set bit of `t`, or -1.
ADAMCORE_FN int highest_bit(std::int64_t t) noexcept {
#if defined(__CUDA_ARCH__)
    return 63 - __clzll(t);
#elif defined(_MSC_VER) && !defined(__clang__)
    int bit = 62;
    while (bit >= 0 && ((t >> bit) & 1) == 0) --bit;
    return bit;
#else
    return t == 0 ? -1 : 63 - __builtin_clzll(static_cast<unsigned long long>(t));
#endif
}

ADAMCORE_FN DoubleDouble power_of(double beta, std::int64_t t) noexcept {
    DoubleDouble power{1.0, 0.0};
    ADAMCORE_ROLLED
    for (int bit = highest_bit(t); bit >= 0 && power.high > 0; --bit) power = next_power(power, beta, (t >> bit) & 1);
    return power;
}

ADAMCORE_FN double one_minus(DoubleDouble power) noexcept { return (1.0 - power.high) - power.low; }

/// `1 - beta^t`, within an ulp of the true value for every `beta` in [0, 1) and `t` >= 0.
///
/// It squares integer powers in double-double, because libm's pow, expm1 and log1p differ in the last bit between
/// libraries and processors, a plain double loses 1 - beta^t to cancellation when beta is near 1, and a running product
/// drifts.
ADAMCORE_FN double correction(double beta, std::int64_t t) noexcept { return one_minus(power_of(beta, t)); }

/// The powers that correction() computed for the last `t`, kept for the next call: those of t >> 0, t >> 1, and so on.
/// Most of them are the same for t + 1, so that two products are left on average.
struct Powers {
    static constexpr int levels = 8;

    double beta = -1;
    std::int64_t t = 0;
    DoubleDouble of[levels] = {};
};

/// Returns the same bits as correction(beta, t), but faster if `known` belongs to `beta` and `t` - 1. A `known.beta` of
/// -1 means that nothing is known.
ADAMCORE_FN double correction(Powers& known, double beta, std::int64_t t) noexcept {
    if (known.beta == beta && known.t == t) return one_minus(known.of[0]);
    const int lowest = highest_bit(t & -t);  // for each k above `lowest`, t >> k equals (t - 1) >> k
    const bool is_near = known.beta == beta && known.t == t - 1 && lowest < Powers::levels - 1;
    const int highest = highest_bit(t) < Powers::levels ? Powers::levels - 1 : highest_bit(t);
    DoubleDouble power = is_near ? known.of[lowest + 1] : DoubleDouble{1.0, 0.0};
    ADAMCORE_ROLLED
    for (int bit = is_near ? lowest : highest; bit >= 0; --bit) {
        const std::int64_t count = t >> bit;
        if (count > 0 && power.high > 0) power = next_power(power, beta, count & 1);
        if (bit < Powers::levels) known.of[bit] = power;
    }
    known.beta = beta;
    known.t = t;
    return one_minus(power);
}

}  // namespace adamcore::bias

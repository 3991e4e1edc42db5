#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/bias.hpp"
#include "adamcore/double_double.hpp"
#include "adamcore/math.hpp"
#include "adamcore/power.hpp"
#include "adamcore/scale.hpp"

/// What the formulas of schedules consist of.
namespace adamcore::schedules {

/// The largest integer that is not above `x`, for x >= 0.
ADAMCORE_FN double floor(double x) noexcept {
    return x < 0x1p53 ? static_cast<double>(static_cast<std::int64_t>(x)) : x;
}

/// Which cycle of this length `t` is in, and how far it is from the cycle's beginning.
struct Division {
    double count, rest;
};

/// `count` is an integer, `rest` is at least 0 and less than `length`, and t = count * length + rest, up to rounding if
/// the numbers are no integers.
ADAMCORE_FN Division divide(double t, double length) noexcept {
    const double count = floor(t / length), rest = t - count * length;
    if (rest < 0) return {count - 1, rest + length};
    if (rest >= length) return {count + 1, rest - length};
    return {count, rest};
}

/// `from` where `share` is 0, `to` where it is 1, and a straight line between them.
ADAMCORE_FN double between(double from, double to, double share) noexcept {
    return share == 1 ? to : from + (to - from) * share;
}

/// `from` at t <= 0, `to` at t >= steps, and a straight line between them. It divides last, so that steps of it are as
/// accurate as its ends: step 1 from 0 is to / steps.
ADAMCORE_FN double on_line(double from, double to, double t, double steps) noexcept {
    return t <= 0 ? from : t >= steps ? to : from + (to - from) * t / steps;
}

/// How much of `steps` has passed at `t`, from 0 to 1.
ADAMCORE_FN double share_of(double t, double steps) noexcept { return t <= 0 ? 0 : t >= steps ? 1 : t / steps; }

/// A positive number as a double-double times a power of two. `high` is at least 1/2 and less than 1.
struct WholePower {
    DoubleDouble number;
    std::int64_t power;
};

ADAMCORE_FN WholePower operator*(WholePower a, WholePower b) noexcept {
    const DoubleDouble product = double_double::multiply(a.number, b.number);
    const bool is_low = product.high < 0.5;
    const double factor = is_low ? 2 : 1;
    const std::int64_t power = a.power + b.power - (is_low ? 1 : 0);
    constexpr std::int64_t limit = std::int64_t{1} << 40;  // far beyond any double, so that sums cannot overflow
    return {{factor * product.high, factor * product.low}, math::min(math::max(power, -limit), limit)};
}

/// base^n, for base > 0 and an integer n >= 0.
///
/// It squares integer powers in double-double, as bias.hpp does, because a running product drifts. Powers of integers
/// that a double can hold are exact.
ADAMCORE_FN WholePower whole_power(double base, std::int64_t n) noexcept {
    const Scale parts = scale::with_power(base);
    const WholePower once{{parts.number, 0.0}, parts.power};
    WholePower result = n > 0 ? once : WholePower{{0.5, 0.0}, 1};
    ADAMCORE_ROLLED
    for (int bit = bias::highest_bit(n) - 1; bit >= 0; --bit) {
        result = result * result;
        if ((n >> bit) & 1) result = result * once;
    }
    return result;
}

/// base^exponent, for both >= 0. 0^0 is 1.
ADAMCORE_FN double power_of(double base, double exponent) noexcept {
    if (exponent == 1 || base == 1) return base;
    constexpr double many = 64;  // from about here, pow takes less time
    if (base == 0 || exponent >= many || exponent != floor(exponent)) return power::pow(base, exponent);
    const WholePower result = whole_power(base, static_cast<std::int64_t>(exponent));
    constexpr std::int64_t largest = 3000;
    const std::int64_t power = math::min(math::max(result.power, -largest), largest);
    return scale::times_power(result.number.high, static_cast<std::int32_t>(power));
}

/// (1 + cos(pi x)) / 2: 1 where `x` is 0, 1/2 at 1/2, and 0 at 1.
ADAMCORE_FN double half_cosine(double x) noexcept { return (1 + power::cospi(x)) / 2; }

/// How many of `count` sorted numbers are at most `t`.
ADAMCORE_FN std::size_t count_up_to(double t, const double* numbers, std::size_t count) noexcept {
    std::size_t first = 0;
    while (count > 0) {
        const std::size_t half = count / 2;
        if (numbers[first + half] <= t) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

}  // namespace adamcore::schedules

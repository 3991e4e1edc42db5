#pragma once

#include <cstdint>
#include <cstring>

#include "adamcore/math.hpp"

namespace adamcore {

/// The multiplier of gradients, `number * 2^power`. Clipping gradients of 1e308 to 1e-300 needs a factor that no double
/// can represent.
///
/// The power is 0 if the number is well inside the normal range of double; then the arithmetic is ordinary double
/// arithmetic. Otherwise no precision is lost either.
struct Scale {
    double number;
    std::int32_t power;

    ADAMCORE_FN constexpr Scale(double of = 1, std::int32_t times_two_to = 0) : number(of), power(times_two_to) {}
};

namespace scale {

/// Whether a result needs no power and cannot have been rounded to a subnormal number.
ADAMCORE_FN bool is_usual(double x) {
    const double magnitude = x < 0 ? -x : x;
    return magnitude >= 0x1p-960 && magnitude <= 0x1p960;
}

/// 2^power, for powers from -1022 to 1023.
ADAMCORE_FN double power_of_two(std::int32_t power) {
    const std::uint64_t bits = static_cast<std::uint64_t>(power + 1023) << 52;
    double x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

/// x * 2^power, rounded once, for |x| from 0.5 to 1.
ADAMCORE_FN double times_power(double x, std::int32_t power) {
    const std::int32_t first = math::min(math::max(power, -1000), 1000);
    const std::int32_t rest = math::min(math::max(power - first, -1022), 1023);
    return (x * power_of_two(first)) * power_of_two(rest);
}

/// number * 2^power with a number from 0.5 to 1, unless the value is 0 or not finite.
ADAMCORE_CALL Scale with_power(Scale a) {
    if (a.number == 0 || a.number - a.number != 0) return {a.number, 0};
    double number = a.number;
    std::int32_t power = a.power;
    if (number > -0x1p-1022 && number < 0x1p-1022) number *= 0x1p54, power -= 54;
    std::uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    power += static_cast<std::int32_t>(bits >> 52 & 0x7ff) - 1022;
    bits = (bits & 0x800fffffffffffffu) | 0x3fe0000000000000u;
    std::memcpy(&number, &bits, sizeof number);
    return {number, power};
}

/// The same, but with a power of 0 if the number is usual.
ADAMCORE_CALL Scale normalised(double number, std::int32_t power) {
    const Scale a = with_power({number, power});
    if (a.power > -960 && a.power <= 960) return a.number * power_of_two(a.power);
    return a;
}

/// Implements `*` where small code matters more than speed.
ADAMCORE_CALL Scale product(Scale a, Scale b) {
    a = with_power(a), b = with_power(b);
    return normalised(a.number * b.number, a.power + b.power);
}

ADAMCORE_CALL bool unusual_less(Scale a, Scale b) {
    if (a.number == 0 || b.number == 0) return a.number < b.number;
    a = with_power(a), b = with_power(b);
    return a.power != b.power ? a.power < b.power : a.number < b.number;
}

/// The value as a double: rounded, and infinite or 0 outside the range of double.
ADAMCORE_CALL double value(Scale a) {
    if (a.power == 0) return a.number;
    a = with_power(a);
    return times_power(a.number, a.power);
}

}  // namespace scale

ADAMCORE_FN Scale operator*(Scale a, Scale b) {
    const double number = a.number * b.number;
    return (a.power | b.power) == 0 && scale::is_usual(number) ? Scale(number) : scale::product(a, b);
}

ADAMCORE_CALL Scale operator/(Scale a, Scale b) {
#if !defined(__CUDA_ARCH__)  // small code matters more there
    const double number = a.number / b.number;
    if ((a.power | b.power) == 0 && scale::is_usual(number)) return number;
#endif
    a = scale::with_power(a), b = scale::with_power(b);
    return scale::normalised(a.number / b.number, a.power - b.power);
}

ADAMCORE_FN bool operator==(Scale a, Scale b) { return a.number == b.number && a.power == b.power; }

/// Normalises a nonnegative result of arithmetic.
ADAMCORE_FN bool is_below_one(Scale a) { return a.power < 0 || (a.power == 0 && a.number < 1); }

/// For scales that are not negative.
ADAMCORE_FN bool operator<(Scale a, Scale b) {
    return (a.power | b.power) == 0 ? a.number < b.number : scale::unusual_less(a, b);
}

/// A scale in a form by which T can be multiplied: `(x * first) * second`, where `second` is 1 unless the scale is
/// outside the normal range of T. The result is accurate to an ulp or two if x and the product are representable, for
/// scales of float below 2^254 and of double below 2^2046.
template <class T>
struct Multiplier {
    T first, second;

    ADAMCORE_FN T operator()(T x) const { return (x * first) * second; }
};

namespace scale {

template <class T>
struct Range;
template <>
struct Range<float> {
    static constexpr double least = 0x1p-126, largest = 0x1.fffffep127;
    static constexpr int smallest_power = -149, largest_power = 127;
};
template <>
struct Range<double> {
    static constexpr double least = 0x1p-1022, largest = 0x1.fffffffffffffp1023;
    static constexpr int smallest_power = -1074, largest_power = 1023;
};

/// Whether the scale can be rounded to T without losing precision.
template <class T>
ADAMCORE_FN bool is_normal(Scale a) {
    const double magnitude = a.number < 0 ? -a.number : a.number;
    return a.power == 0 && magnitude >= Range<T>::least && magnitude <= Range<T>::largest;
}

/// A small scale applies its power last, so that a product below the normal range of T is rounded last. The exceptions
/// are powers that T cannot represent, whose products are 0 or almost 0. A large scale applies its power first, so that
/// subnormal numbers are scaled up before they are rounded. Neither factor is 0 unless the scale is, so that infinity
/// is preserved.
template <class T>
ADAMCORE_CALL Multiplier<T> split(Scale a) {
    a = with_power(a);
    if (a.number == 0 || a.number - a.number != 0) return {static_cast<T>(a.number), T(1)};
    constexpr int smallest = Range<T>::smallest_power, largest = Range<T>::largest_power;
    const int second = a.power < 0 ? math::max(a.power, smallest) : math::max(0, math::min(a.power - largest, largest));
    const int first = math::max(a.power - second, smallest + 1);
    return {static_cast<T>(times_power(a.number, first)), static_cast<T>(times_power(0.5, second + 1))};
}

template <class T>
ADAMCORE_FN Multiplier<T> multiplier(Scale a) {
    return is_normal<T>(a) ? Multiplier<T>{static_cast<T>(a.number), T(1)} : split<T>(a);
}

}  // namespace scale

}  // namespace adamcore

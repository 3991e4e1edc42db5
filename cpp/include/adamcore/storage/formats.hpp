#pragma once

#include <cstdint>
#include <cstring>

#include "adamcore/dtype.hpp"
#include "adamcore/math.hpp"

/// How numbers are stored: decoding is exact, encoding rounds to nearest, ties to even, and both keep subnormals,
/// infinities and NaN. They use only integer arithmetic and selects, so that loops vectorise and give the same bits on
/// every processor (AVX-512's own conversion to bfloat16 flushes subnormals).
namespace adamcore::storage {

ADAMCORE_FN std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

ADAMCORE_FN float float_of(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

ADAMCORE_FN float decode(float x) { return x; }
ADAMCORE_FN double decode(double x) { return x; }
ADAMCORE_FN float decode(bfloat16 x) { return float_of(static_cast<std::uint32_t>(x.bits) << 16); }

/// Changes the bias of the exponent from binary16's to binary32's. Subnormals have no leading one: they are converted
/// as if they had, and a subtraction removes it again. NaN becomes quiet, as in processors.
ADAMCORE_FN float decode(float16 x) {
    const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
    const std::uint32_t shifted = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
    const std::uint32_t exponent = shifted & (0x1fu << 23);
    constexpr std::uint32_t bias = (127u - 15u) << 23;
    const std::uint32_t infinite = bias | math::select(shifted > (0x1fu << 23), 0x00400000u, 0u);
    const std::uint32_t special = math::select(exponent == (0x1fu << 23), infinite, 0u);
    const std::uint32_t normal = (shifted + bias + (special & 0x7f800000u)) | (special & 0x00400000u);
    const std::uint32_t subnormal = bits_of(float_of(shifted + bias + (1u << 23)) - float_of(bias + (1u << 23)));
    return float_of(sign | math::select(exponent == 0, subnormal, normal));
}

template <class Stored>
struct Encode;

template <>
struct Encode<float> {
    ADAMCORE_FN static float of(float x) { return x; }
    ADAMCORE_FN static float of(double x) { return static_cast<float>(x); }
};

template <>
struct Encode<double> {
    ADAMCORE_FN static double of(double x) { return x; }
};

template <>
struct Encode<bfloat16> {
    ADAMCORE_FN static bfloat16 of(float x) {
        const std::uint32_t bits = bits_of(x);
        const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        const std::uint32_t nan = (bits >> 16 & 0x8000u) | 0x7fc0u;
        return {static_cast<std::uint16_t>(math::select(x != x, nan, rounded))};
    }
};

template <>
struct Encode<float16> {
    ADAMCORE_FN static float16 of(float x) {
        const std::uint32_t bits = bits_of(x);
        const std::uint32_t magnitude = bits & 0x7fffffffu;
        // Normal: changes the bias, and adds half a unit, or slightly less if the last bit kept is even.
        const std::uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
        // Subnormal: adding 0.5, whose unit is the smallest subnormal, rounds as the processor does.
        const std::uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
        const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x1ffu);
        const std::uint32_t large = math::select(magnitude > 0x7f800000u, nan, 0x7c00u);
        const std::uint32_t finite = math::select(magnitude < (127u - 14u) << 23, subnormal, normal);
        const std::uint32_t rounded = math::select(magnitude >= (127u + 16u) << 23, large, finite);
        return {static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | rounded)};
    }
};

/// `x` rounded to Stored: to nearest, ties to even.
template <class Stored, class T>
ADAMCORE_FN Stored encode(T x) {
    return Encode<Stored>::of(x);
}

/// The same for a number that Stored represents exactly, or for NaN.
template <class Stored>
ADAMCORE_FN Stored encode_exact(float x) {
    if constexpr (dtype_of<Stored> == Dtype::bfloat16) {
        const std::uint32_t nan = (bits_of(x) & 0x80000000u) | 0x7fc00000u;
        return {static_cast<std::uint16_t>(math::select(x != x, nan, bits_of(x)) >> 16)};
    } else {
        return encode<Stored>(x);
    }
}

/// `x` rounded to Stored, as a float.
template <class Stored>
ADAMCORE_FN float rounded(float x) {
    return decode(encode<Stored>(x));
}

/// The 16 bits of a float32 weight that are lost when it is rounded to the nearest bfloat16.
ADAMCORE_FN std::uint16_t remainder_of(float weight) { return static_cast<std::uint16_t>(bits_of(weight) & 0xffffu); }

/// Whether a weight lies halfway between two bfloat16 numbers and was rounded down, to the even number below it.
///
/// 65,537 float32 numbers round to an even bfloat16, one more than 16 bits can distinguish: the halfway points above
/// and below it leave the same remainder. This bit distinguishes them.
ADAMCORE_FN bool is_tie_rounded_down(float weight) { return (bits_of(weight) & 0x1ffffu) == 0x8000u; }

/// The weight from which `remainder` was taken, if it is not a tie that was rounded down.
ADAMCORE_FN float with_remainder(float stored, std::uint16_t remainder) {
    // A remainder of half a unit or more was rounded up. As a signed number it leads back down.
    const auto signed_remainder = static_cast<std::uint32_t>(static_cast<std::int32_t>(remainder ^ 0x8000u) - 0x8000);
    return float_of(bits_of(stored) + signed_remainder);
}

/// Turns the result of with_remainder() into the tie that was rounded down.
ADAMCORE_FN float as_tie(float weight) { return float_of(bits_of(weight) + 0x10000u); }

/// The float32 weight that `stored` represents: `master` if `stored` is `master` rounded. Otherwise the parameter has
/// been overwritten since, and its new value is the weight.
ADAMCORE_FN float current_master(float stored, float rounded_master, float master) {
    return math::select(bits_of(rounded_master) == bits_of(stored), master, stored);
}

/// The rounding error of a weight. It counts as zero if the weight overflows.
ADAMCORE_FN float finite_or_zero(float lost) {
    return math::select((bits_of(lost) & 0x7f800000u) == 0x7f800000u, 0.0f, lost);
}

}  // namespace adamcore::storage

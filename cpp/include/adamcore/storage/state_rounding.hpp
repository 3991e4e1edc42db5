#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/math.hpp"
#include "adamcore/storage/formats.hpp"
#include "adamcore/storage/rounding.hpp"

/// Stochastic rounding of half-precision state. If it were rounded to nearest, an average that changes by less than
/// half a unit in the last place per step would get stuck.
///
/// A block of elements has one random word for each of a tensor's state arrays, its key. The random number of an
/// element is this word plus a multiple of the golden ratio. Over all keys it is uniform, so the mean of each element
/// is exact. Within a block it is spread evenly, so the errors cancel. It takes two instructions; a generator would
/// take fifty.
///
/// Neither rounding mode rounds a nonzero average of squares to zero, because a step would then divide by eps alone.
namespace adamcore::state {

/// The number of elements that share a key.
inline constexpr std::int64_t block = 256;

/// rounding::random_words of this row and later rows are keys. The random numbers of weights never reach these rows,
/// because eight elements share a counter.
inline constexpr std::int64_t first_row = std::int64_t{1} << 43;

/// The number of elements whose keys are in one row of random words.
inline constexpr std::int64_t row = rounding::row * block;

/// The number of slots whose keys come from one counter, and the row of the counter from which the keys of the block
/// with `element` come, for slots 4 * quartet, ... 4 * quartet + 3.
inline constexpr std::size_t quartet_size = 4;
ADAMCORE_FN std::int64_t row_of(std::int64_t element, std::size_t quartet) {
    return first_row + (static_cast<std::int64_t>(quartet) << 42) + element / row;
}

/// The keys of the block that contains `element`, one for each slot of a quartet.
ADAMCORE_FN void keys_of(const rounding::Stream& stream, std::int64_t element, std::size_t quartet,
                         std::uint32_t (&keys)[4]) {
    rounding::random_words(stream, row_of(element, quartet), static_cast<std::uint32_t>(element % row / block), keys);
}

/// 2^32 divided by the golden ratio.
inline constexpr std::uint32_t golden = 0x9E3779B1u;

/// The random number of an element, given its index in the state array.
ADAMCORE_FN std::uint32_t number_of(std::uint32_t key, std::int64_t element) {
    return key + static_cast<std::uint32_t>(element) * golden;
}

template <class Stored>
struct Stochastic;

/// Rounds `x` to a neighbour in Stored, with a random number that is uniform in [0, 2^32). As many of its upper bits as
/// Stored drops are added below the last place that Stored keeps, and the sum is truncated. NaN and numbers beyond the
/// largest finite one are rounded to nearest.
template <class Stored>
ADAMCORE_FN Stored stochastic(float x, std::uint32_t random) {
    return Stochastic<Stored>::of(x, random);
}

template <>
struct Stochastic<bfloat16> {
    static constexpr std::uint32_t smallest = 0x00010000u, largest = 0x7f7f0000u;

    ADAMCORE_FN static bfloat16 of(float x, std::uint32_t random) {
        const std::uint32_t bits = storage::bits_of(x);
        const std::uint32_t rounded = (bits + (random >> 16)) >> 16;
        const std::uint32_t nearest = storage::encode<bfloat16>(x).bits;
        return {static_cast<std::uint16_t>(math::select((bits & 0x7fffffffu) > largest, nearest, rounded))};
    }
};

/// The last place of subnormal numbers is 2^-24, whatever their exponent. 24 random bits decide, so the mean is exact
/// from 2^-25 up, and below that to within 2^-48.
template <>
struct Stochastic<float16> {
    static constexpr std::uint32_t smallest = (127u - 24u) << 23, largest = 0x477fe000u;

    ADAMCORE_FN static float16 of(float x, std::uint32_t random) {
        const std::uint32_t bits = storage::bits_of(x);
        const std::uint32_t magnitude = bits & 0x7fffffffu;
        const std::uint32_t finite = math::select(magnitude > largest, 0u, magnitude);
        const std::uint32_t exponent = math::max(finite & 0x7f800000u, (127u - 14u) << 23);
        // In units of the last place, which is 2^-10 of the exponent's power of two.
        const float units = storage::float_of(finite) * storage::float_of((2 * 127u << 23) - (exponent - (10u << 23)));
        const auto whole = static_cast<std::int32_t>(units);
        const auto rest = static_cast<std::int32_t>((units - static_cast<float>(whole)) * 0x1p24f);
        const std::uint32_t up = (static_cast<std::uint32_t>(rest) + (random >> 8)) >> 24;
        const std::uint32_t rounded =
            ((exponent - ((127u - 14u) << 23)) >> 13) + static_cast<std::uint32_t>(whole) + up;
        const std::uint32_t nearest = storage::encode<float16>(x).bits;
        return {
            static_cast<std::uint16_t>(math::select(magnitude > largest, nearest, (bits >> 16 & 0x8000u) | rounded))};
    }
};

/// The square itself, or the smallest number of Stored if the square is smaller than that and not zero.
template <class Stored>
ADAMCORE_FN float nonzero(float square) {
    const std::uint32_t bits = storage::bits_of(square);
    constexpr std::uint32_t smallest = Stochastic<Stored>::smallest;
    return storage::float_of(math::select(bits - 1 < smallest - 1, smallest, bits));
}

/// A number of state as it is stored.
template <class Stored>
ADAMCORE_FN Stored encode(float x, bool is_square, bool at_random, std::uint32_t random) {
    const float number = is_square ? nonzero<Stored>(x) : x;
    return at_random ? stochastic<Stored>(number, random) : storage::encode<Stored>(number);
}

}  // namespace adamcore::state

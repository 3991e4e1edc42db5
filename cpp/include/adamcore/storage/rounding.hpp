#pragma once

#include <cstdint>

#include "adamcore/math.hpp"
#include "adamcore/storage/formats.hpp"

/// Stochastic rounding: a number is rounded to either neighbour, with probabilities that make the mean exact.
///
/// The random numbers are a function of seed, step, tensor and element. So they do not depend on threads, instruction
/// sets or grouping, and a resumed run uses the same ones.
namespace adamcore::rounding {

/// The number of rounds of Philox4x32 that its authors found sufficient to pass every test of BigCrush.
inline constexpr int rounds = 7;

/// Four random words for a counter of four words (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
/// for one counter or several side by side. Each word is the lower half of a 64-bit number or lane, whose upper half is
/// undefined. `multiply` returns the products of lower halves.
template <class Words, class Multiply>
ADAMCORE_FN void philox(std::uint32_t key0, std::uint32_t key1, Words (&words)[4], Multiply multiply) {
    const Words zero{};
    Words a = words[0], b = words[1], c = words[2], d = words[3];
    for (int round = 0; round < rounds; ++round) {
        const Words first = multiply(a, zero + 0xD2511F53u), second = multiply(c, zero + 0xCD9E8D57u);
        a = (second >> 32) ^ b ^ (zero + key0);
        b = second;
        c = (first >> 32) ^ d ^ (zero + key1);
        d = first;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

/// The product of the lower halves of two numbers.
struct MultiplyOne {
    ADAMCORE_FN std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const {
        return (a & 0xffffffffu) * (b & 0xffffffffu);
    }
};

ADAMCORE_FN void philox(std::uint32_t key0, std::uint32_t key1, std::uint32_t (&words)[4]) {
    std::uint64_t wide[4] = {words[0], words[1], words[2], words[3]};
    philox(key0, key1, wide, MultiplyOne{});
    for (int i = 0; i < 4; ++i) words[i] = static_cast<std::uint32_t>(wide[i]);
}

/// What random numbers depend on in addition to the element.
struct Stream {
    std::uint64_t seed = 0;
    std::uint64_t step = 0;  ///< the lower 48 bits count
    std::uint32_t tensor = 0;
};

/// A counter yields 16 bits for each of 8 elements. A block of this many counters serves a range of neighbouring
/// elements.
inline constexpr std::int64_t row = 16;
inline constexpr std::int64_t block = 8 * row;

/// The words for counter `lane` of block `index`: element `index * block + 2 * row * w + 2 * lane + h` has half h (0 the
/// lower) of word w.
ADAMCORE_FN void random_words(const Stream& stream, std::int64_t index, std::uint32_t lane, std::uint32_t (&words)[4]) {
    const std::uint64_t counter = static_cast<std::uint64_t>(index) * static_cast<std::uint64_t>(row) + lane;
    words[0] = static_cast<std::uint32_t>(counter);
    words[1] = stream.tensor;
    words[2] = static_cast<std::uint32_t>(stream.step);
    words[3] =
        static_cast<std::uint32_t>(counter >> 32 & 0xffffu) | static_cast<std::uint32_t>(stream.step >> 32 << 16);
    philox(static_cast<std::uint32_t>(stream.seed), static_cast<std::uint32_t>(stream.seed >> 32), words);
}

template <class Stored>
struct Stochastic;

/// Rounds a finite weight to a neighbour in Stored, up in magnitude if `random`, which is uniform in [0, 2^16), is
/// large enough. Beyond the largest finite number, the result is this number, or infinity if rounding to nearest gives
/// infinity. NaN remains NaN.
template <class Stored>
ADAMCORE_FN float stochastic(float weight, std::uint32_t random) {
    return Stochastic<Stored>::of(weight, random);
}

/// The result for numbers without a finite neighbour in Stored: infinity, or the NaN itself.
ADAMCORE_FN float infinite_or_nan(std::uint32_t bits) {
    const std::uint32_t infinite = (bits & 0x80000000u) | 0x7f800000u;
    return storage::float_of(math::select((bits & 0x7fffffffu) > 0x7f800000u, bits, infinite));
}

/// The bits of the largest finite bfloat16, as a float.
inline constexpr std::uint32_t largest_bfloat16 = 0x7f7f0000u;

template <>
struct Stochastic<bfloat16> {
    ADAMCORE_FN static float of(float weight, std::uint32_t random) {
        const std::uint32_t bits = storage::bits_of(weight);
        const std::uint32_t magnitude = bits & 0x7fffffffu;
        const std::uint32_t up = (magnitude + random) & 0xffff0000u;
        const std::uint32_t finite = math::select(up > largest_bfloat16, largest_bfloat16, up);
        const float kept = storage::float_of(finite | (bits & 0x80000000u));
        return math::select(magnitude >= largest_bfloat16 + 0x8000u, infinite_or_nan(bits), kept);
    }
};

/// The same for weights with a smaller magnitude than that. Nothing saturates, so it takes a third of the operations.
ADAMCORE_FN bfloat16 stochastic_in_range(float weight, std::uint32_t random) {
    return {static_cast<std::uint16_t>((storage::bits_of(weight) + random) >> 16)};
}

template <>
struct Stochastic<float16> {
    ADAMCORE_FN static float of(float weight, std::uint32_t random) {
        const std::uint32_t bits = storage::bits_of(weight);
        const std::uint32_t magnitude = bits & 0x7fffffffu;
        // Normal numbers lose 13 bits.
        const std::uint32_t normal = (magnitude + (random >> 3)) & 0xffffe000u;
        constexpr std::uint32_t largest = 0x477fe000u;
        const std::uint32_t finite = math::select(normal > largest, largest, normal);
        // Subnormal numbers are multiples of 2^-24. Their fraction is compared in steps of 2^-16.
        const float scaled = storage::float_of(math::select(magnitude < smallest_normal, magnitude, 0u)) * 0x1p40f;
        const auto fixed = static_cast<std::uint32_t>(static_cast<std::int32_t>(scaled));
        const float subnormal = static_cast<float>(static_cast<std::int32_t>((fixed + random) >> 16)) * 0x1p-24f;
        const std::uint32_t result =
            math::select(magnitude < smallest_normal, storage::bits_of(subnormal), finite) | (bits & 0x80000000u);
        return math::select(magnitude >= largest + 0x1000u, infinite_or_nan(bits), storage::float_of(result));
    }

private:
    static constexpr std::uint32_t smallest_normal = (127u - 14u) << 23;
};

}  // namespace adamcore::rounding

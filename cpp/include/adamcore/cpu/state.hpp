#pragma once

#include <cstdint>
#include <cstring>

#include "adamcore/cpu/arrays.hpp"
#include "adamcore/storage/state_rounding.hpp"

ADAMCORE_LOOPS_BEGIN

namespace adamcore::cpu {

/// Loops of storage/state_rounding.hpp over dense arrays. They assume that all numbers are finite and in range, and
/// return whether one was not; then their output must be discarded. Checking each number would take as long as rounding it.
namespace convert {

/// `random` is the random number of the first element.
template <bool IsSquare>
ADAMCORE_FN bool round_at_random(const float* ADAMCORE_RESTRICT in, std::int64_t count, std::uint32_t random,
                                 bfloat16* ADAMCORE_RESTRICT out) {
    using Rounding = state::Stochastic<bfloat16>;
    constexpr std::uint32_t to_sign = 0x7fffffffu - Rounding::largest;
    std::uint32_t beyond = 0;
    ADAMCORE_IVDEP
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint32_t bits = storage::bits_of(in[i]);
        std::uint32_t more = random >> 16;
        if constexpr (IsSquare) {
            // The comparison is signed, which processors support. Negative numbers count as out of range.
            const auto number = static_cast<std::int32_t>(bits);
            more = math::select(number < static_cast<std::int32_t>(Rounding::smallest), 0xffffu, more);
            beyond |= bits | (bits + to_sign);
        } else {
            beyond |= (bits & 0x7fffffffu) + to_sign;
        }
        out[i].bits = static_cast<std::uint16_t>((bits + more) >> 16);
        random += state::golden;
    }
    return beyond >> 31 != 0;
}

#if defined(__F16C__) && defined(__AVX512F__) && defined(__AVX512DQ__)
#define ADAMCORE_FLOAT16_VECTORS

/// Vectors of neighbouring elements. A random part of the last place, which a number's exponent gives, is added to the
/// number. The sum is then truncated twice: to a float, whose last place divides that of every float16, and to a
/// float16.
template <bool IsSquare>
class RoundedFloat16 {
public:
    static constexpr std::int64_t width = 16;

    ADAMCORE_FN explicit RoundedFloat16(std::uint32_t first) {
        alignas(64) std::uint32_t each[width];
        for (std::uint32_t i = 0; i < width; ++i) each[i] = first + i * state::golden;
        random_ = _mm512_load_si512(each);
    }

    ADAMCORE_FN void round(const float* in, float16* out) {
        __m512 x = _mm512_loadu_ps(in);
        __m512i bits = _mm512_castps_si512(x);
        if constexpr (IsSquare) {
            look_at(bits);
            x = _mm512_maskz_max_ps(_mm512_test_epi32_mask(bits, bits), x, _mm512_set1_ps(0x1p-24f));
            bits = _mm512_castps_si512(x);
        } else {
            look_at(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
        }
        const __m512i exponent = _mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xff800000u)));
        // The larger magnitude, with the sign of the first number.
        const __m512 power = _mm512_maskz_range_ps(all, _mm512_castsi512_ps(exponent), _mm512_set1_ps(0x1p-14f), 3);
        const __m512 part = _mm512_maskz_mul_ps(
            all, _mm512_maskz_cvtepi32_ps(all, _mm512_maskz_srli_epi32(all, random_, 8)), _mm512_set1_ps(0x1p-34f));
        const __m512 sum = _mm512_fmadd_round_ps(power, part, x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_maskz_cvtps_ph(all, sum, _MM_FROUND_TO_ZERO));
        random_ = _mm512_add_epi32(random_, _mm512_set1_epi32(static_cast<int>(width * state::golden)));
    }

    ADAMCORE_FN bool any_beyond() const {
        const __m512i most = _mm512_set1_epi32(static_cast<int>(state::Stochastic<float16>::largest));
        return _mm512_cmpgt_epu32_mask(magnitudes_, most) != 0;
    }

private:
    static constexpr __mmask16 all = 0xffff;

    ADAMCORE_FN void look_at(__m512i bits) { magnitudes_ = _mm512_maskz_max_epu32(all, magnitudes_, bits); }

    __m512i random_, magnitudes_ = _mm512_setzero_si512();
};

#elif defined(__F16C__) && defined(__AVX2__)
#define ADAMCORE_FLOAT16_VECTORS

/// Vectors of neighbouring elements. Numbers are truncated, and what truncation removes is compared with what a random
/// part of the last place lacks to a whole one.
template <bool IsSquare>
class RoundedFloat16 {
public:
    static constexpr std::int64_t width = 8;

    ADAMCORE_FN explicit RoundedFloat16(std::uint32_t first) {
        alignas(32) std::uint32_t each[width];
        for (std::uint32_t i = 0; i < width; ++i) each[i] = first + i * state::golden;
        random_ = _mm256_load_si256(reinterpret_cast<const __m256i*>(each));
    }

    ADAMCORE_FN void round(const float* in, float16* out) {
        const __m256 unsigned_bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
        __m256 x = _mm256_loadu_ps(in);
        if constexpr (IsSquare) {
            look_at(x);
            x = _mm256_and_ps(_mm256_max_ps(x, _mm256_set1_ps(0x1p-24f)),
                              _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NEQ_OQ));
        } else {
            look_at(_mm256_and_ps(x, unsigned_bits));
        }
        const __m128i cut = _mm256_cvtps_ph(x, _MM_FROUND_TO_ZERO);
        const __m256 taken = _mm256_and_ps(_mm256_sub_ps(x, _mm256_cvtph_ps(cut)), unsigned_bits);
        const __m256 exponent = _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000)));
        const __m256 power = _mm256_mul_ps(_mm256_max_ps(exponent, _mm256_set1_ps(0x1p-14f)), _mm256_set1_ps(0x1p-34f));
        const __m256i lacking = _mm256_sub_epi32(_mm256_set1_epi32(1 << 24), _mm256_srli_epi32(random_, 8));
        const __m256 least = _mm256_mul_ps(_mm256_cvtepi32_ps(lacking), power);
        const __m256i up = _mm256_castps_si256(_mm256_cmp_ps(taken, least, _CMP_GE_OQ));  // -1 where it rounds up
        const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(up), _mm256_extracti128_si256(up, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_sub_epi16(cut, halves));
        random_ = _mm256_add_epi32(random_, _mm256_set1_epi32(static_cast<int>(width * state::golden)));
    }

    ADAMCORE_FN bool any_beyond() const {
        const __m256i least = _mm256_set1_epi32(static_cast<int>(state::Stochastic<float16>::largest + 1));
        return _mm256_movemask_epi8(_mm256_cmpeq_epi32(_mm256_max_epu32(magnitudes_, least), magnitudes_)) != 0;
    }

private:
    ADAMCORE_FN void look_at(__m256 x) { magnitudes_ = _mm256_max_epu32(magnitudes_, _mm256_castps_si256(x)); }

    __m256i random_, magnitudes_ = _mm256_setzero_si256();
};
#endif

template <bool IsSquare>
ADAMCORE_FN bool round_at_random(const float* ADAMCORE_RESTRICT in, std::int64_t count, std::uint32_t random,
                                 float16* ADAMCORE_RESTRICT out) {
#if defined(ADAMCORE_FLOAT16_VECTORS)
    using Vector = RoundedFloat16<IsSquare>;
    Vector vector(random);
    std::int64_t i = 0;
    for (; i + Vector::width <= count; i += Vector::width) vector.round(in + i, out + i);
    if (i < count) {
        const auto rest = static_cast<std::size_t>(count - i);
        float last[Vector::width] = {};
        float16 rounded[Vector::width];
        std::memcpy(last, in + i, rest * sizeof *last);
        vector.round(last, rounded);
        std::memcpy(out + i, rounded, rest * sizeof *rounded);
    }
    return vector.any_beyond();
#else
    ADAMCORE_IVDEP
    for (std::int64_t i = 0; i < count; ++i) {
        out[i] = state::encode<float16>(in[i], IsSquare, true, random);
        random += state::golden;
    }
    return false;
#endif
}

}  // namespace convert

/// Stores elements [begin, begin + count) of a dense half-precision state array, all from one tile. `in` contains their
/// values, and `key` is the key of their block if they are rounded stochastically.
using StoreState = void (*)(const float* in, std::int64_t begin, std::int64_t count, std::uint32_t key, void* array);

namespace detail {

static_assert(tile == state::block);

template <class Isa>
struct State {
    /// Null if the array is float32 or float64, which needs no rounding.
    static StoreState store(Dtype dtype, bool is_square, StateRounding rounding) {
        const bool at_random = rounding == StateRounding::stochastic;
        if (dtype == Dtype::bfloat16) return way<bfloat16>(is_square, at_random);
        if (dtype == Dtype::float16) return way<float16>(is_square, at_random);
        return nullptr;
    }

private:
    template <class Stored>
    static StoreState way(bool is_square, bool at_random) {
        if (at_random) return is_square ? stochastic<Stored, true> : stochastic<Stored, false>;
        return is_square ? nearest<Stored, true> : nearest<Stored, false>;
    }

    template <class Stored, bool IsSquare>
    static void stochastic(const float* in, std::int64_t begin, std::int64_t count, std::uint32_t key, void* array) {
        Stored* const out = static_cast<Stored*>(array) + begin;
        const std::uint32_t random = state::number_of(key, begin);
        const bool beyond = count == tile ? convert::round_at_random<IsSquare>(in, tile, random, out)
                                          : convert::round_at_random<IsSquare>(in, count, random, out);
        if (beyond) round_each<Stored, IsSquare>(in, count, random, out);
    }

    template <class Stored, bool IsSquare>
    ADAMCORE_OUTLINE static void round_each(const float* ADAMCORE_RESTRICT in, std::int64_t count, std::uint32_t random,
                                            Stored* ADAMCORE_RESTRICT out) {
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] = state::encode<Stored>(in[i], IsSquare, true, random);
            random += state::golden;
        }
    }

    template <class Stored, bool IsSquare>
    static void nearest(const float* in, std::int64_t begin, std::int64_t count, std::uint32_t, void* array) {
        Stored* const out = static_cast<Stored*>(array) + begin;
        alignas(64) float squares[tile];
        if constexpr (IsSquare) {
            ADAMCORE_IVDEP
            for (std::int64_t i = 0; i < count; ++i) squares[i] = state::nonzero<Stored>(in[i]);
            in = squares;
        }
        count == tile ? convert::encode(in, tile, out) : convert::encode(in, count, out);
    }
};

}  // namespace detail

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

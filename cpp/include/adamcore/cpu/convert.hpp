#pragma once

#include <cstdint>

#include "adamcore/storage/formats.hpp"
#include "adamcore/storage/rounding.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

ADAMCORE_LOOPS_BEGIN

/// Loops of storage/formats.hpp and storage/rounding.hpp over dense arrays. They use a processor's own instruction if it
/// gives the same bits several times as fast.
namespace adamcore::cpu::convert {

template <class Stored, class T>
ADAMCORE_FN void decode(const Stored* ADAMCORE_RESTRICT in, std::int64_t count, T* ADAMCORE_RESTRICT out) {
    std::int64_t i = 0;
#if defined(__F16C__)
    if constexpr (sizeof(T) == 4 && dtype_of<Stored> == Dtype::float16) {
#if defined(__AVX512F__)
        for (; i + 16 <= count; i += 16)
            _mm512_storeu_ps(
                out + i, _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
#endif
        for (; i + 8 <= count; i += 8)
            _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
    }
#endif
    const std::int64_t rest = count - i;
    ADAMCORE_IVDEP
    for (std::int64_t k = 0; k < rest; ++k) out[i + k] = static_cast<T>(storage::decode(in[i + k]));
}

template <class Stored, class T>
ADAMCORE_FN void encode(const T* ADAMCORE_RESTRICT in, std::int64_t count, Stored* ADAMCORE_RESTRICT out) {
    std::int64_t i = 0;
#if defined(__F16C__)
    if constexpr (sizeof(T) == 4 && dtype_of<Stored> == Dtype::float16) {
#if defined(__AVX512F__)
        for (; i + 16 <= count; i += 16)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                                _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
#endif
        for (; i + 8 <= count; i += 8)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                             _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    }
#endif
    const std::int64_t rest = count - i;
    ADAMCORE_IVDEP
    for (std::int64_t k = 0; k < rest; ++k) out[i + k] = storage::encode<Stored>(in[i + k]);
}

/// Multiplies the lower halves of 64-bit lanes. Compilers multiply whole lanes, which costs several times as much.
#if defined(__AVX512F__)
using Words = std::uint64_t __attribute__((vector_size(64)));
struct Multiply {
    ADAMCORE_FN Words operator()(Words a, Words b) const {
        return (Words)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
    }
};
#elif defined(__AVX2__)
using Words = std::uint64_t __attribute__((vector_size(32)));
struct Multiply {
    ADAMCORE_FN Words operator()(Words a, Words b) const { return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
};
#elif defined(__SSE2__) && defined(__GNUC__)
using Words = std::uint64_t __attribute__((vector_size(16)));
struct Multiply {
    ADAMCORE_FN Words operator()(Words a, Words b) const { return (Words)_mm_mul_epu32((__m128i)a, (__m128i)b); }
};
#else
using Words = std::uint64_t;
using Multiply = rounding::MultiplyOne;
#endif

/// Computes rounding::random_words of a whole block, word by word. Several counters are processed side by side, each in
/// a 64-bit lane of which only the lower half is used.
ADAMCORE_FN void random_block(const rounding::Stream& stream, std::int64_t index,
                              std::uint32_t (&words)[4][rounding::row]) {
    constexpr int width = sizeof(Words) / sizeof(std::uint64_t);
    std::uint64_t start[width];
    for (int lane = 0; lane < width; ++lane) start[lane] = static_cast<std::uint64_t>(2 * lane);
    Words even;
    std::memcpy(&even, start, sizeof even);
    const std::uint64_t counter = static_cast<std::uint64_t>(index) * static_cast<std::uint64_t>(rounding::row);
    const Words zero{};
    const std::uint64_t high =
        static_cast<std::uint32_t>(counter >> 32 & 0xffffu) | static_cast<std::uint32_t>(stream.step >> 32 << 16);
    for (int begin = 0; begin < rounding::row; begin += 2 * width) {
        Words result[2][4];
        for (int odd = 0; odd < 2; ++odd) {
            // Rows do not cross a multiple of 2^32.
            result[odd][0] = even + ((counter & 0xffffffffu) + static_cast<std::uint64_t>(begin + odd));
            result[odd][1] = zero + stream.tensor;
            result[odd][2] = zero + (stream.step & 0xffffffffu);
            result[odd][3] = zero + high;
            rounding::philox(static_cast<std::uint32_t>(stream.seed), static_cast<std::uint32_t>(stream.seed >> 32),
                             result[odd], Multiply{});
        }
        for (int word = 0; word < 4; ++word) {
            const Words pairs = (result[0][word] & (zero + 0xffffffffu)) | (result[1][word] << 32);
            std::memcpy(&words[word][begin], &pairs, sizeof pairs);
        }
    }
}

}  // namespace adamcore::cpu::convert

ADAMCORE_LOOPS_END

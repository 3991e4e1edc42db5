#pragma once

#include <cstdint>

#include "stored/base.hpp"

/// E3: all arrays are asked for, by the size of their items alone, before any is decoded.
namespace adamcore::experiments {

/// Whether a register's bits become a bfloat16 by integer arithmetic or by the processor's instruction.
enum class Conversion { integer, hardware };

/// Who computes random words: each thread all of its own; a block those of its tile, before it begins; or four threads
/// of a warp, which need the same counters, one counter each.
enum class Philox { each, tile, warp };

struct StoredRaw {
    static constexpr int threads = 256, resident = 2;
    static constexpr Conversion conversion = Conversion::integer;
    static constexpr Philox philox = Philox::each;
    static constexpr bool fixed = false;  ///< whether the kernel is compiled for one storage
    static constexpr int width = eight;   ///< neighbours that a thread has asked for at a time, eight or four
    /// Whether what lies in tables is read again behind the loads, instead of being held in registers.
    static constexpr bool forgets = false;
};

/// Two bfloat16 in a word, rounded by the processor. NaN becomes 0x7fff, where the library keeps the sign and has 0x7fc0.
ADAMCORE_FN std::uint32_t hardware_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    std::uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return storage::encode<bfloat16>(low).bits | std::uint32_t{storage::encode<bfloat16>(high).bits} << 16;
#endif
}

/// Neighbours as they lie in memory: two in a word or one.
template <int width>
struct Raw {
    std::uint32_t word[width];

    template <class Stored>
    ADAMCORE_FN Stored half(int k) const {
        return {static_cast<std::uint16_t>(word[k / 2] >> (k % 2 * 16))};
    }

    template <class Stored>
    ADAMCORE_FN void set(const Stored (&from)[width]) {
        ADAMCORE_UNROLL
        for (int k = 0; k < width; k += 2) word[k / 2] = from[k].bits | std::uint32_t{from[k + 1].bits} << 16;
    }

    ADAMCORE_FN void decode(Dtype dtype, float (&to)[width]) const {
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) {
            if (dtype == Dtype::bfloat16) {
                to[k] = storage::decode(half<bfloat16>(k));
            } else if (dtype == Dtype::float16) {
                to[k] = storage::decode(half<float16>(k));
            } else {
                to[k] = storage::float_of(word[k]);
            }
        }
    }

    template <Conversion conversion>
    ADAMCORE_FN void encode(Dtype dtype, const float (&from)[width]) {
        if (dtype == Dtype::bfloat16) {
            encode_bfloat16<conversion>(from);
        } else if (dtype == Dtype::float16) {
            float16 to[width];
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) to[k] = storage::encode<float16>(from[k]);
            set(to);
        } else {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) word[k] = storage::bits_of(from[k]);
        }
    }

    template <Conversion conversion>
    ADAMCORE_FN void encode_bfloat16(const float (&from)[width]) {
        if constexpr (conversion == Conversion::hardware) {
            bool any_nan = false;
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) any_nan |= from[k] != from[k];
            ADAMCORE_UNROLL
            for (int k = 0; k < width; k += 2) word[k / 2] = hardware_pair(from[k], from[k + 1]);
            if (!any_nan) return;
        }
        bfloat16 to[width];
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) to[k] = storage::encode<bfloat16>(from[k]);
        set(to);
    }
};

/// An array and the bytes of its items, 2 or 4; 0: there is none.
struct RawArray {
    char* data;
    int item;

    ADAMCORE_FN static RawArray of(const void* array, Dtype dtype) {
        return {cuda::global(static_cast<char*>(const_cast<void*>(array))), is_half(dtype) ? 2 : 4};
    }

    ADAMCORE_FN char* at(std::int64_t element) const { return data + element * item; }
    ADAMCORE_FN bool is_wide(std::int64_t element) const {
        return item == 0 || reinterpret_cast<std::uintptr_t>(at(element)) % cuda::widest == 0;
    }

    template <int width>
    ADAMCORE_FN void ask(std::int64_t begin, Raw<width>& raw) const {
        constexpr int half = width / 2;
        if (item == 0) return;
        const auto* from = reinterpret_cast<const Words<half>*>(at(begin));
        const Words<half> low = from[0];
        ADAMCORE_UNROLL
        for (int k = 0; k < half; ++k) raw.word[k] = low.of[k];
        if (item == 2) return;
        const Words<half> high = from[1];
        ADAMCORE_UNROLL
        for (int k = 0; k < half; ++k) raw.word[half + k] = high.of[k];
    }

    template <int width>
    ADAMCORE_FN void put(std::int64_t begin, const Raw<width>& raw) const {
        constexpr int half = width / 2;
        if (item == 0) return;
        auto* to = reinterpret_cast<Words<half>*>(at(begin));
        Words<half> words;
        ADAMCORE_UNROLL
        for (int k = 0; k < half; ++k) words.of[k] = raw.word[k];
        to[0] = words;
        if (item == 2) return;
        ADAMCORE_UNROLL
        for (int k = 0; k < half; ++k) words.of[k] = raw.word[half + k];
        to[1] = words;
    }

private:
    template <int N>
    using Words = cuda::Pack<std::uint32_t, N>;
};

/// The words of eight elements from a multiple of eight on lie in four counters side by side; those of four, in two.
struct Counters {
    std::int64_t block;
    int word, lane;

    ADAMCORE_FN static Counters of(std::int64_t begin) {
        const int place = static_cast<int>(begin % rounding::block);
        return {begin / rounding::block, place / (2 * static_cast<int>(rounding::row)),
                place % (2 * static_cast<int>(rounding::row)) / 2};
    }
};

}  // namespace adamcore::experiments

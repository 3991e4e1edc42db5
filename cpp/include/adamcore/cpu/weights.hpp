#pragma once

#include <cstdint>
#include <cstring>

#include "adamcore/cpu/arrays.hpp"

ADAMCORE_LOOPS_BEGIN

namespace adamcore::cpu::detail {

/// What is stored beside the parameter for half-precision weights (WeightPolicy), for one ISA and dtype of the
/// parameter.
template <class Isa, class Stored>
struct Extras {
    /// Turns the parameter's values into the weights that they represent.
    ADAMCORE_OUTLINE static void recover(const Tensor& tensor, std::int64_t begin, std::int64_t count, float* weights) {
        switch (tensor.weights) {
            case WeightPolicy::master: return recover_master(master(tensor) + begin, count, weights);
            case WeightPolicy::remainder: return recover_remainder(tensor, begin, count, weights);
            case WeightPolicy::compensated: return recover_compensation(lost(tensor) + begin, count, weights);
            case WeightPolicy::plain:
            case WeightPolicy::stochastic: return;
        }
    }

    /// Rounds the weights to the dtype of the parameter, and stores what rounding loses.
    ADAMCORE_OUTLINE static void store(const Tensor& tensor, std::int64_t begin, std::int64_t count, std::uint64_t seed,
                                       const float* weights, Stored* out) {
        switch (tensor.weights) {
            case WeightPolicy::stochastic: return round_at_random(tensor, begin, count, seed, weights, out);
            case WeightPolicy::compensated: return store_compensated(lost(tensor) + begin, count, weights, out);
            case WeightPolicy::master: convert::decode(weights, count, master(tensor) + begin); break;
            case WeightPolicy::remainder: retain_remainder(tensor, begin, count, weights); break;
            case WeightPolicy::plain: break;
        }
        convert::encode(weights, count, out);
    }

private:
    static float* master(const Tensor& tensor) { return static_cast<float*>(tensor.extra[0]); }
    static Stored* lost(const Tensor& tensor) { return static_cast<Stored*>(tensor.extra[0]); }
    static std::uint16_t* remainders(const Tensor& tensor) { return static_cast<std::uint16_t*>(tensor.extra[0]); }
    static std::uint8_t* ties(const Tensor& tensor) { return static_cast<std::uint8_t*>(tensor.extra[1]); }

    static void recover_master(const float* ADAMCORE_RESTRICT kept, std::int64_t count,
                               float* ADAMCORE_RESTRICT weights) {
        alignas(64) Stored stored[tile];
        alignas(64) float expected[tile];
        convert::encode(kept, count, stored);
        convert::decode(stored, count, expected);
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) weights[i] = storage::current_master(weights[i], expected[i], kept[i]);
    }

    static void recover_remainder(const Tensor& tensor, std::int64_t begin, std::int64_t count,
                                  float* ADAMCORE_RESTRICT weights) {
        const std::uint16_t* ADAMCORE_RESTRICT kept = remainders(tensor) + begin;
        alignas(64) float whole[tile];
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) whole[i] = storage::with_remainder(weights[i], kept[i]);
        const std::uint8_t* marks = ties(tensor) + begin / 8;
        const std::int64_t first = begin % 8;  // not 0 where a pass begins within a byte
        std::uint32_t any = 0;
        for (std::int64_t i = 0; i < (first + count + 7) / 8; ++i) any |= marks[i];
        for (std::int64_t i = first; any != 0 && i < first + count; ++i) {
            if (marks[i / 8] >> (i % 8) & 1) whole[i - first] = storage::as_tie(whole[i - first]);
        }
        // If a remainder does not belong to a parameter, the parameter has been overwritten since.
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i)
            weights[i] = storage::current_master(weights[i], storage::rounded<bfloat16>(whole[i]), whole[i]);
    }

    static void retain_remainder(const Tensor& tensor, std::int64_t begin, std::int64_t count,
                                 const float* ADAMCORE_RESTRICT weights) {
        std::uint16_t* ADAMCORE_RESTRICT kept = remainders(tensor) + begin;
        std::uint32_t any = 0;
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) {
            kept[i] = storage::remainder_of(weights[i]);
            any |= math::select(storage::is_tie_rounded_down(weights[i]), 1u, 0u);
        }
        std::uint8_t* marks = ties(tensor) + begin / 8;
        for (std::int64_t i = 0; i < (count + 7) / 8; ++i) marks[i] = 0;
        if (any == 0) return;
        for (std::int64_t i = 0; i < count; ++i) {
            const unsigned bit = storage::is_tie_rounded_down(weights[i]) ? 1u : 0u;
            marks[i / 8] = static_cast<std::uint8_t>(marks[i / 8] | bit << (i % 8));
        }
    }

    static void recover_compensation(const Stored* kept, std::int64_t count, float* ADAMCORE_RESTRICT weights) {
        alignas(64) float more[tile];
        convert::decode(kept, count, more);
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) weights[i] += more[i];
    }

    static void store_compensated(Stored* kept, std::int64_t count, const float* ADAMCORE_RESTRICT weights,
                                  Stored* out) {
        alignas(64) float less[tile];
        convert::encode(weights, count, out);
        convert::decode(out, count, less);
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) less[i] = storage::finite_or_zero(weights[i] - less[i]);
        convert::encode(less, count, kept);
    }

    /// The bits of the largest magnitude. NaN counts as larger than all numbers.
    static std::uint32_t largest_magnitude(const float* weights, std::int64_t count) {
        std::uint32_t largest = 0;
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i)
            largest = math::max(largest, storage::bits_of(weights[i]) & 0x7fffffffu);
        return largest;
    }

    static void round_at_random(const Tensor& tensor, std::int64_t begin, std::int64_t count, std::uint64_t seed,
                                const float* ADAMCORE_RESTRICT weights, Stored* ADAMCORE_RESTRICT out) {
        static_assert(tile % rounding::block == 0);
        const rounding::Stream stream{seed, static_cast<std::uint64_t>(tensor.step), tensor.number};
        const std::int64_t first = begin % rounding::block;
        alignas(64) std::uint16_t halves[tile];
        for (std::int64_t at = 0; at < first + count; at += rounding::block) {
            alignas(64) std::uint32_t words[4][rounding::row];
            convert::random_block(stream, (begin + at) / rounding::block, words);
            std::memcpy(halves + at, words, sizeof words);  // the lower half of a word first: little-endian
        }
        if constexpr (dtype_of<Stored> == Dtype::bfloat16) {
            if (largest_magnitude(weights, count) < rounding::largest_bfloat16) {
                ADAMCORE_IVDEP
                for (std::int64_t i = 0; i < count; ++i)
                    out[i] = rounding::stochastic_in_range(weights[i], halves[first + i]);
                return;
            }
        }
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i)
            out[i] = storage::encode_exact<Stored>(rounding::stochastic<Stored>(weights[i], halves[first + i]));
    }
};

}  // namespace adamcore::cpu::detail

ADAMCORE_LOOPS_END

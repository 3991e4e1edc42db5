#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/storage/rounding.hpp"
#include "adamcore/tensor.hpp"

/// What is stored beside the parameter for half-precision weights (WeightPolicy), a few neighbouring elements at a
/// time. This corresponds to cpu/weights.hpp.
namespace adamcore::cuda {

/// Whether elements are divided in eights from the start of the tensor: the ties of eight remainders share a byte, and
/// tiles must start where blocks of random numbers do.
ADAMCORE_FN bool counts_from_start(const Tensor& tensor) {
    if (tensor.rounds_state_at_random()) return true;
    return is_half(tensor.dtype) &&
           (tensor.weights == WeightPolicy::remainder || tensor.weights == WeightPolicy::stochastic);
}

/// The random words of a tile, for stochastic rounding. A counter of Philox yields the numbers of eight elements that
/// are not neighbours, so threads compute them for each other.
struct RandomWords {
    static constexpr std::int64_t counters = tile / 8;
    static_assert(tile % rounding::block == 0);

    alignas(widest) std::uint32_t of[4][counters];

    /// Computes a thread's share of the words for `count` elements from `first` on, where `first` is the start of a
    /// tile.
    ADAMCORE_FN void draw(const rounding::Stream& stream, std::int64_t first, std::int64_t count, int thread) {
        const std::int64_t blocks = (count + rounding::block - 1) / rounding::block;
        for (std::int64_t counter = thread; counter < blocks * rounding::row; counter += threads) {
            std::uint32_t words[4];
            rounding::random_words(stream, first / rounding::block + counter / rounding::row,
                                   static_cast<std::uint32_t>(counter % rounding::row), words);
            ADAMCORE_UNROLL
            for (int word = 0; word < 4; ++word) of[word][counter] = words[word];
        }
    }

    /// The word of the tile's elements `element` (an even number) and `element` + 1. The lower half is for the former.
    ADAMCORE_FN const std::uint32_t* word_of(std::int64_t element) const {
        const std::int64_t block = element / rounding::block, place = element % rounding::block;
        return &of[place / (2 * rounding::row)][block * rounding::row + place % (2 * rounding::row) / 2];
    }
};

/// What is stored beside N weights.
template <int N>
struct Kept {
    Raw<float, N> raw;
    unsigned ties = 0;

    ADAMCORE_FN static bool any_of(const Tensor& tensor) {
        return is_half(tensor.dtype) &&
               (tensor.weights == WeightPolicy::master || tensor.weights == WeightPolicy::remainder ||
                tensor.weights == WeightPolicy::compensated);
    }

    ADAMCORE_FN void load_from(void* const (&extra)[2], WeightPolicy weights, std::int64_t begin) {
        if (weights == WeightPolicy::master) return raw.load_from(extra[0], Dtype::float32, begin);
        raw.load_halves(extra[0], begin);
        if (weights == WeightPolicy::remainder) ties = byte_of(extra, begin) >> (begin % 8);
    }

    /// The same for elements that need not be neighbours.
    template <class Spot>
    ADAMCORE_FN void load_at(void* const (&extra)[2], WeightPolicy weights, const Spot& spot) {
        spot.load(raw, extra[0], weights == WeightPolicy::master ? Dtype::float32 : Dtype::bfloat16);
        if (weights != WeightPolicy::remainder) return;
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            const std::int64_t at = spot.element(k);
            ties |= (byte_of(extra, at) >> (at % 8) & 1u) << k;
        }
    }

    ADAMCORE_FN void store_to(void* const (&extra)[2], WeightPolicy weights, std::int64_t begin) const {
        if (weights == WeightPolicy::master) return raw.store_to(extra[0], Dtype::float32, begin);
        raw.store_halves(extra[0], begin);
        if (weights != WeightPolicy::remainder) return;
        // Eight elements share a byte, which one thread writes.
        constexpr unsigned all = (1u << N) - 1;
        const auto at = static_cast<unsigned>(begin % 8);
        std::uint8_t& byte = byte_of(extra, begin);
        byte = static_cast<std::uint8_t>((byte & ~(all << at)) | (ties & all) << at);
    }

private:
    ADAMCORE_FN static std::uint8_t& byte_of(void* const (&extra)[2], std::int64_t begin) {
        return global(static_cast<std::uint8_t*>(extra[1]))[begin / 8];
    }
};

/// N weights of one tensor whose parameter has dtype Stored.
template <class Stored, int N>
struct KeptWeights {
    WeightPolicy way;

    /// Turns the parameter's values into the weights that they represent.
    ADAMCORE_FN void recover(const Kept<N>& kept, float (&weights)[N]) const {
        if (way == WeightPolicy::master) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) {
                const float master = kept.raw.template at<float>(k);
                weights[k] = storage::current_master(weights[k], storage::rounded<Stored>(master), master);
            }
        } else if (way == WeightPolicy::remainder) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) {
                const float near = storage::with_remainder(weights[k], kept.raw.half(k));
                const float whole = math::select((kept.ties >> k & 1u) != 0, storage::as_tie(near), near);
                weights[k] = storage::current_master(weights[k], storage::rounded<bfloat16>(whole), whole);
            }
        } else if (way == WeightPolicy::compensated) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) weights[k] += storage::decode(kept.raw.template at<Stored>(k));
        }
    }

    /// Rounds weights to the dtype of the parameter, and stores what rounding loses. `random` has one word for two
    /// elements; the first element uses half number `half` of the first word.
    ADAMCORE_FN void keep(const float (&weights)[N], const std::uint32_t* random, int half, Raw<float, N>& param,
                          Kept<N>& kept) const {
        if (way == WeightPolicy::stochastic) return round_at_random(weights, random, half, param);
        Stored rounded[N];
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            rounded[k] = storage::encode<Stored>(weights[k]);
            param.set(k, rounded[k]);
        }
        if (way == WeightPolicy::master) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) kept.raw.set(k, weights[k]);
        } else if (way == WeightPolicy::remainder) {
            keep_remainders(weights, kept);
        } else if (way == WeightPolicy::compensated) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) {
                const float lost = storage::finite_or_zero(weights[k] - storage::decode(rounded[k]));
                kept.raw.set(k, storage::encode<Stored>(lost));
            }
        }
    }

private:
    ADAMCORE_FN void keep_remainders(const float (&weights)[N], Kept<N>& kept) const {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            kept.raw.set_half(k, storage::remainder_of(weights[k]));
            const unsigned bit = 1u << k;
            kept.ties = storage::is_tie_rounded_down(weights[k]) ? kept.ties | bit : kept.ties & ~bit;
        }
    }

    ADAMCORE_FN void round_at_random(const float (&weights)[N], const std::uint32_t* random, int half,
                                     Raw<float, N>& param) const {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            const std::uint32_t bits = random[k / 2] >> (16 * ((half + k) % 2)) & 0xffffu;
            param.set(k, storage::encode_exact<Stored>(rounding::stochastic<Stored>(weights[k], bits)));
        }
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/rounding.hpp"
#include "adamcore/tensor.hpp"

/// What is kept of half-precision weights beside the parameter (Weights), a few neighbours at a time: what
/// cpu/weights.hpp is for tiles.
namespace adamcore::cuda {

/// What is done of an update besides its arithmetic, told to each element.
struct Chance {
    std::uint64_t seed;
    std::int64_t step;
};

/// Whether neighbours are handed out in eights from the tensor's start: the ties of eight remainders share a byte, and
/// a pair of elements a random word.
ADAMCORE_FN bool counts_from_start(Weights weights) {
    return weights == Weights::remainder || weights == Weights::stochastic;
}

/// The random word of elements `element` and `element` + 1, an even number: the lower half is the former's.
ADAMCORE_AWAY inline std::uint32_t random_word(const Chance& chance, std::uint32_t tensor, std::int64_t element) {
    const rounding::Stream stream{chance.seed, static_cast<std::uint64_t>(chance.step), tensor};
    const auto place = static_cast<std::uint32_t>(element % rounding::block);
    std::uint32_t words[4];
    rounding::random_words(stream, element / rounding::block, place % (2 * rounding::row) / 2, words);
    const std::uint32_t word = place / (2 * rounding::row);
    return word < 2 ? (word == 0 ? words[0] : words[1]) : (word == 2 ? words[2] : words[3]);
}

/// Weights of one tensor whose parameter is Stored, in groups of N.
template <class Stored, int N>
struct KeptWeights {
    const Tensor& tensor;
    std::int64_t begin;
    int count;

    /// Turns the parameter's values into the weights that they stand for.
    ADAMCORE_FN void recover(float (&weights)[N]) const {
        if (tensor.weights == Weights::master) {
            float kept[N] = {};
            load(global(static_cast<const float*>(tensor.extra[0])) + begin, count, kept);
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k)
                weights[k] = storage::current_master(weights[k], storage::rounded<Stored>(kept[k]), kept[k]);
        } else if (tensor.weights == Weights::remainder) {
            std::uint16_t kept[N] = {};
            load(global(static_cast<const std::uint16_t*>(tensor.extra[0])) + begin, count, kept);
            const unsigned ties = static_cast<const std::uint8_t*>(tensor.extra[1])[begin / 8];
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) {
                const float near = storage::with_remainder(weights[k], kept[k]);
                const float whole = math::select((ties >> k & 1u) != 0, storage::as_tie(near), near);
                weights[k] = storage::current_master(weights[k], storage::rounded<bfloat16>(whole), whole);
            }
        } else if (tensor.weights == Weights::compensated) {
            Stored kept[N] = {};
            load(global(static_cast<const Stored*>(tensor.extra[0])) + begin, count, kept);
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) weights[k] += storage::decode(kept[k]);
        }
    }

    /// Rounds weights to the parameter's type, and keeps what that loses.
    ADAMCORE_FN void keep(const float (&weights)[N], const Chance& chance, Stored (&rounded)[N]) const {
        if (tensor.weights == Weights::stochastic) return round_at_random(weights, chance, rounded);
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) rounded[k] = storage::encode<Stored>(weights[k]);
        if (tensor.weights == Weights::master) {
            store(weights, count, global(static_cast<float*>(tensor.extra[0])) + begin);
        } else if (tensor.weights == Weights::remainder) {
            keep_remainders(weights);
        } else if (tensor.weights == Weights::compensated) {
            Stored lost[N];
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k)
                lost[k] = storage::encode<Stored>(storage::finite_or_zero(weights[k] - storage::decode(rounded[k])));
            store(lost, count, global(static_cast<Stored*>(tensor.extra[0])) + begin);
        }
    }

private:
    ADAMCORE_FN void keep_remainders(const float (&weights)[N]) const {
        static_assert(N == 8, "a byte of ties has one writer");
        std::uint16_t kept[N];
        unsigned ties = 0;
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            kept[k] = storage::remainder_of(weights[k]);
            if (k < count && storage::is_tie_rounded_down(weights[k])) ties |= 1u << k;
        }
        store(kept, count, global(static_cast<std::uint16_t*>(tensor.extra[0])) + begin);
        static_cast<std::uint8_t*>(tensor.extra[1])[begin / 8] = static_cast<std::uint8_t>(ties);
    }

    ADAMCORE_FN void round_at_random(const float (&weights)[N], const Chance& chance, Stored (&rounded)[N]) const {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; k += 2) {
            const std::uint32_t word = random_word(chance, tensor.number, begin + k);
            rounded[k] = storage::encode_exact<Stored>(rounding::stochastic<Stored>(weights[k], word & 0xffffu));
            rounded[k + 1] = storage::encode_exact<Stored>(rounding::stochastic<Stored>(weights[k + 1], word >> 16));
        }
    }
};

}  // namespace adamcore::cuda

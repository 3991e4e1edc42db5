#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/storage/rounding.hpp"
#include "adamcore/storage/state_rounding.hpp"

/// How half-precision state is stored, a few neighbouring elements at a time. This corresponds to cpu/state.hpp.
namespace adamcore::cuda {

/// The keys of a tile's elements, which the threads of a block compute for each other. Each quartet has those of four
/// slots.
template <std::size_t Slots>
struct StateKeys {
    static constexpr std::size_t quartets = (Slots + state::quartet_size - 1) / state::quartet_size;
    static constexpr int blocks = tile / state::block;
    static_assert(tile % state::block == 0 && blocks <= threads);

    std::uint32_t of[quartets + (quartets == 0)][blocks][state::quartet_size];

    /// Computes a thread's share of the keys for `count` elements from `first` on, where `first` is the start of a
    /// tile.
    ADAMCORE_FN void draw(const rounding::Stream& stream, std::int64_t first, std::int64_t count, int thread) {
        if (thread * state::block >= count) return;
        ADAMCORE_UNROLL
        for (std::size_t quartet = 0; quartet < quartets; ++quartet)
            state::keys_of(stream, first + thread * state::block, quartet, of[quartet][thread]);
    }

    /// The random number of an element of the tensor, which is element `place` of the tile.
    ADAMCORE_FN std::uint32_t number_of(std::int64_t element, std::int64_t place, std::size_t slot) const {
        return state::number_of(of[slot / state::quartet_size][place / state::block][slot % state::quartet_size],
                                element);
    }
};

/// Encodes N numbers of a half-precision state array. `random(k)` is the number of element k if they are rounded at
/// random.
template <bool IsSquare, int N, class Random>
ADAMCORE_FN void encode_state(const float (&from)[N], const Tensor& tensor, bool at_random, Random&& random,
                              Raw<float, N>& to) {
    const auto encode_as = [&](auto x) {
        using Stored = decltype(x);
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) to.set(k, state::encode<Stored>(from[k], IsSquare, at_random, random(k)));
    };
    tensor.state_dtype == Dtype::bfloat16 ? encode_as(bfloat16{}) : encode_as(float16{});
}

}  // namespace adamcore::cuda

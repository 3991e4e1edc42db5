#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/storage/rounding.hpp"
#include "adamcore/storage/state_rounding.hpp"

/// How half-precision state is stored, a few neighbouring elements at a time. This corresponds to cpu/state.hpp.
namespace adamcore::cuda {

/// The keys of a tile's elements, which the threads of a block compute for each other.
struct StateKeys {
    static constexpr int blocks = tile / state::block;
    static_assert(tile % state::block == 0 && blocks <= threads);

    std::uint32_t of[blocks][4];

    /// Computes a thread's share of the keys for `count` elements from `first` on, where `first` is the start of a
    /// tile.
    ADAMCORE_FN void draw(const rounding::Stream& stream, std::int64_t first, std::int64_t count, int thread) {
        if (thread * state::block < count) state::keys_of(stream, first + thread * state::block, 0, of[thread]);
    }

    /// The random number of an element of the tensor, which is element `place` of the tile.
    ADAMCORE_FN std::uint32_t number_of(std::int64_t element, std::int64_t place, std::size_t slot) const {
        return state::number_of(of[place / state::block][slot], element);
    }
};

/// Encodes N numbers of a half-precision state array. `random` is the first element's number if they are rounded at
/// random.
template <bool IsSquare, int N>
ADAMCORE_FN void encode_state(const float (&from)[N], const Tensor& tensor, bool at_random, std::uint32_t random,
                              Raw<float, N>& to) {
    const auto encode_as = [&](auto x) {
        using Stored = decltype(x);
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k)
            to.set(k, state::encode<Stored>(from[k], IsSquare, at_random,
                                            random + static_cast<std::uint32_t>(k) * state::golden));
    };
    tensor.state_dtype == Dtype::bfloat16 ? encode_as(bfloat16{}) : encode_as(float16{});
}

}  // namespace adamcore::cuda

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/state.hpp"
#include "adamcore/cuda/table.hpp"

namespace adamcore::cuda {

struct StartArguments {
    const Tile* tiles;
    const Tensor* tensors;
    double initial[max_slots];  ///< by slot
    unsigned nonnegative;       ///< rule::nonnegative_slots
};

/// Initialises state: slots with the rule's initial values, masters with the parameters, and the rest with zero.
struct Start {
    using Arguments = StartArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const std::int64_t first = here.index * tile, last = math::min(first + tile, tensor.size);
        for (std::int64_t i = first + at.thread; i < last; i += threads) {
            tensor.dtype == Dtype::float64 ? start_slots<double>(a, tensor, i) : start_slots<float>(a, tensor, i);
            start_extras(tensor, i);
        }
    }

private:
    template <class T>
    ADAMCORE_FN static void start_slots(const Arguments& a, const Tensor& tensor, std::int64_t i) {
        for (std::size_t slot = 0; slot < max_slots && tensor.state[slot]; ++slot) {
            auto value = static_cast<T>(a.initial[slot]);
            if constexpr (sizeof(T) == 4) {
                const bool is_square = (a.nonnegative >> slot & 1) != 0;
                if (is_square && tensor.state_dtype == Dtype::bfloat16) value = state::nonzero<bfloat16>(value);
                if (is_square && tensor.state_dtype == Dtype::float16) value = state::nonzero<float16>(value);
            }
            write_each(&value, tensor.state[slot], tensor.state_dtype, Axes{}, i, 1);
        }
    }

    ADAMCORE_FN static void start_extras(const Tensor& tensor, std::int64_t i) {
        if (tensor.weights == WeightPolicy::master && tensor.extra[0]) {
            const Axes axes = tensor.layout ? tensor.layout->param : Axes{};
            read_each(tensor.param, tensor.dtype, axes, i, 1, static_cast<float*>(tensor.extra[0]) + i);
        } else if (tensor.extra[0]) {
            static_cast<std::uint16_t*>(tensor.extra[0])[i] = 0;
            if (tensor.extra[1] && i % 8 == 0) static_cast<std::uint8_t*>(tensor.extra[1])[i / 8] = 0;
        }
    }
};

}  // namespace adamcore::cuda

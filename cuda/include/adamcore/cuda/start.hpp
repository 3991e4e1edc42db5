#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/state.hpp"
#include "adamcore/cuda/table.hpp"

namespace adamcore::cuda {

/// A slot of a tensor, or with null `data` what is stored beside its weights.
struct StartedArray {
    std::int32_t tensor;
    Dtype dtype;
    bool is_square, is_param;  ///< whether it is never negative; whether it starts as the parameter, not with `value`
    void* data;
    std::int64_t size;
    double value;
};

struct StartArguments {
    const Tile* tiles;  ///< of arrays
    const StartedArray* arrays;
    const Tensor* tensors;
};

/// Initialises state: slots as their descriptions say, masters with the parameters, and the rest with zero.
struct Start {
    using Arguments = StartArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const Tile here = a.tiles[at.block];
        const StartedArray& array = a.arrays[here.tensor];
        const Tensor& tensor = a.tensors[array.tensor];
        const std::int64_t first = here.index * tile, last = math::min(first + tile, array.size);
        for (std::int64_t i = first + at.thread; i < last; i += threads) {
            if (!array.data) {
                start_extras(tensor, i);
            } else if (array.dtype == Dtype::float64) {
                start_slot<double>(array, tensor, i);
            } else {
                start_slot<float>(array, tensor, i);
            }
        }
    }

private:
    template <class T>
    ADAMCORE_FN static void read_param(const Tensor& tensor, std::int64_t i, T* to) {
        const Axes axes = tensor.layout ? tensor.layout->param : Axes{};
        read_each(tensor.param, tensor.dtype, axes, i, 1, to);
    }

    template <class T>
    ADAMCORE_FN static void start_slot(const StartedArray& array, const Tensor& tensor, std::int64_t i) {
        auto value = static_cast<T>(array.value);
        if (array.is_param) read_param(tensor, i, &value);
        if constexpr (sizeof(T) == 4) {
            if (array.is_square && array.dtype == Dtype::bfloat16) value = state::nonzero<bfloat16>(value);
            if (array.is_square && array.dtype == Dtype::float16) value = state::nonzero<float16>(value);
        }
        write_each(&value, array.data, array.dtype, Axes{}, i, 1);
    }

    ADAMCORE_FN static void start_extras(const Tensor& tensor, std::int64_t i) {
        if (tensor.weights == WeightPolicy::master) {
            read_param(tensor, i, static_cast<float*>(tensor.extra[0]) + i);
        } else {
            static_cast<std::uint16_t*>(tensor.extra[0])[i] = 0;
            if (tensor.extra[1] && i % 8 == 0) static_cast<std::uint8_t*>(tensor.extra[1])[i / 8] = 0;
        }
    }
};

}  // namespace adamcore::cuda

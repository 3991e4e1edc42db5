#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/elements/operands.hpp"

/// Which elements of a tensor a thread processes together.
namespace adamcore::cuda {

/// N neighbouring elements.
template <int N>
struct Neighbours {
    static constexpr int size = N;

    std::int64_t begin;

    ADAMCORE_FN std::int64_t element(int k) const { return begin + k; }
    ADAMCORE_FN void step(Cell& cell, const Tensor& tensor) const { cell.step(tensor); }

    template <class T>
    ADAMCORE_FN void load(Raw<T, N>& to, const void* data, Dtype dtype) const {
        to.load_from(data, dtype, begin);
    }
    template <class T>
    ADAMCORE_FN void store(const Raw<T, N>& from, void* data, Dtype dtype) const {
        from.store_to(data, dtype, begin);
    }
};

/// Up to N elements of a column of a matrix, one below the other.
template <int N>
struct Below {
    static constexpr int size = N;

    std::int64_t begin, columns;
    int count;

    /// Elements that do not exist are the first one.
    ADAMCORE_FN std::int64_t element(int k) const { return begin + (k < count ? k * columns : 0); }
    ADAMCORE_FN void step(Cell& cell, const Tensor& tensor) const {
        if (cell.line + 1 < tensor.rows) cell.step_down(tensor);
    }

    template <class T>
    ADAMCORE_FN void load(Raw<T, N>& to, const void* data, Dtype dtype) const {
        if constexpr (sizeof(T) == 4) {
            if (is_half(dtype)) return load_halves(to, data);
        }
        const T* const from = global(static_cast<const T*>(data));
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) to.put(k, from[element(k)]);
    }
    template <class T>
    ADAMCORE_FN void store(const Raw<T, N>& from, void* data, Dtype dtype) const {
        if constexpr (sizeof(T) == 4) {
            if (is_half(dtype)) return store_halves(from, data);
        }
        T* const to = global(static_cast<T*>(data));
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            if (k < count) to[element(k)] = from.get(k);
        }
    }

private:
    ADAMCORE_FN void load_halves(Raw<float, N>& to, const void* data) const {
        const std::uint16_t* const from = global(static_cast<const std::uint16_t*>(data));
        to.clear();
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) to.set_half(k, from[element(k)]);
    }
    ADAMCORE_FN void store_halves(const Raw<float, N>& from, void* data) const {
        std::uint16_t* const to = global(static_cast<std::uint16_t*>(data));
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            if (k < count) to[element(k)] = from.half(k);
        }
    }
};

}  // namespace adamcore::cuda

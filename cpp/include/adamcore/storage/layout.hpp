#pragma once

#include <cstdint>

#include "adamcore/math.hpp"

namespace adamcore {

/// The maximum number of axes of an array.
inline constexpr int max_axes = 64;

/// How a strided array is walked, with the last axis fastest. Strides are in bytes and may be negative. Without axes,
/// the elements are dense. (There are no initialisers, because they would create a constructor that ISAs share.)
struct Axes {
    std::int32_t count;
    const std::int64_t* shape;
    const std::int64_t* strides;
};

/// How a parameter and its gradient are walked: element i of one goes with element i of the other.
struct Layout {
    Axes param, grad;
};

/// The position of element `index`, in bytes.
ADAMCORE_FN std::int64_t offset_of(const Axes& axes, std::int64_t item_size, std::int64_t index) {
    if (axes.count == 0) return index * item_size;
    std::int64_t offset = 0;
    for (std::int32_t axis = axes.count - 1; axis > 0; --axis) {
        const std::int64_t length = axes.shape[axis];
        // On GPUs, 32-bit division takes a fraction of the time of 64-bit division.
        const std::int64_t next =
            (index | length) >> 32
                ? index / length
                : static_cast<std::int64_t>(static_cast<std::uint32_t>(index) / static_cast<std::uint32_t>(length));
        offset += (index - next * length) * axes.strides[axis];
        index = next;
    }
    return offset + index * axes.strides[0];
}

/// Calls `f(offset, stride, count)`, in bytes, for each run of elements [begin, end) that lie one stride apart.
template <class F>
ADAMCORE_FN void for_each_run(const Axes& axes, std::int64_t item_size, std::int64_t begin, std::int64_t end, F&& f) {
    if (axes.count == 0) {
        f(begin * item_size, item_size, end - begin);
        return;
    }
    const std::int32_t inner = axes.count - 1;
    std::int64_t index[max_axes];
    std::int64_t offset = 0, rest = begin;
    for (std::int32_t axis = inner; axis >= 0; --axis) {
        index[axis] = rest % axes.shape[axis];
        rest /= axes.shape[axis];
        offset += index[axis] * axes.strides[axis];
    }
    for (std::int64_t at = begin; at < end;) {
        const std::int64_t run = math::min(axes.shape[inner] - index[inner], end - at);
        f(offset, axes.strides[inner], run);
        at += run;
        index[inner] += run;
        offset += run * axes.strides[inner];
        for (std::int32_t axis = inner; axis > 0 && index[axis] == axes.shape[axis]; --axis) {
            offset += axes.strides[axis - 1] - index[axis] * axes.strides[axis];
            index[axis] = 0;
            ++index[axis - 1];
        }
    }
}

}  // namespace adamcore

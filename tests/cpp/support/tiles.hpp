#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "support/rules.hpp"

/// Kernels' tiles without a rule's arithmetic: what numbers go through on their way into buffers and out of them.
namespace adamcore::test {

/// The gradient becomes the weight.
template <class T>
void take_gradient(const void*, double, std::int64_t count, std::int64_t, void* param, const void* grad,
                   void* const*) noexcept {
    std::memcpy(param, grad, static_cast<std::size_t>(count) * sizeof(T));
}

/// The weight is written to the first state array.
template <class T>
void show_weight(const void*, double, std::int64_t count, std::int64_t, void* param, const void*,
                 void* const* state) noexcept {
    std::memcpy(state[0], param, static_cast<std::size_t>(count) * sizeof(T));
}

/// Elements [begin, end), `begin` a multiple of 64, become their gradients, through an ISA's buffers of T.
template <class T>
void assign(const cpu::Kernels& kernels, const Tensor& tensor, std::int64_t begin, std::int64_t end,
            const Treatment& treatment = {}) {
    kernels.tiles[static_cast<std::size_t>(dtype_of<T>)]({take_gradient<T>, 0}, nullptr, tensor, begin, end, 1, 1,
                                                         treatment);
}

/// Calls `f(begin, count)` for windows of `width` over `size` elements.
template <class F>
void for_each_window(std::int64_t size, std::int64_t width, F&& f) {
    for (std::int64_t begin = 0; begin < size; begin += width) f(begin, size - begin < width ? size - begin : width);
}

/// Converts `size` elements by an ISA, `width` at a time: large windows in whole tiles, small ones by other loops.
template <class T, class Out, class In>
void convert_in_windows(const cpu::Kernels& kernels, const In* in, Out* out, std::int64_t size, std::int64_t width) {
    for_each_window(size, width, [&](std::int64_t begin, std::int64_t count) {
        assign<T>(kernels, tensor(out + begin, in + begin, count, 1), 0, count);
    });
}

inline constexpr std::int64_t window_widths[] = {1 << 20, 192, 61};

}  // namespace adamcore::test

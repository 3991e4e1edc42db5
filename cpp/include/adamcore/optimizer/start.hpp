#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "adamcore/rule_info.hpp"
#include "adamcore/storage/formats.hpp"
#include "adamcore/storage/layout.hpp"
#include "adamcore/storage/state_rounding.hpp"
#include "adamcore/tensor.hpp"

/// How state in the CPU's memory begins.
namespace adamcore {

/// A number as state that is stored in T.
template <class T, class X>
T as_state(X value, [[maybe_unused]] bool is_square) {
    if constexpr (sizeof(T) == 2) {
        return state::encode<T>(static_cast<float>(value), is_square, false, 0);
    } else {
        return static_cast<T>(value);
    }
}

namespace detail {

/// Copies the parameter to a dense array of T.
template <class T>
void copy_param(const Tensor& tensor, T* to, bool is_square) {
    const Axes axes = tensor.layout ? tensor.layout->param : Axes{};
    visit(tensor.dtype, [&](auto x) {
        using Stored = decltype(x);
        for_each_run(
            axes, sizeof(Stored), 0, tensor.size, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
                const char* from = static_cast<const char*>(tensor.param) + offset;
                for (std::int64_t k = 0; k < count; ++k)
                    *to++ =
                        as_state<T>(storage::decode(*reinterpret_cast<const Stored*>(from + k * stride)), is_square);
            });
    });
}

}  // namespace detail

/// Writes the first values of a state array. An array that is fresh is zero.
inline void start_slot(const Tensor& tensor, const Initial& initial, void* array, bool is_fresh) {
    const Dtype dtype = slot_dtype(tensor, initial.slot);
    const std::int64_t size = slot_size(tensor, initial.slot);
    const bool is_square = initial.slot.is_nonnegative(), is_copy = initial.slot.start == rule::Start::param;
    if (size == 0) return;
    if (!is_copy && initial.value == 0) {
        if (!is_fresh) std::memset(array, 0, static_cast<std::size_t>(size) * size_of(dtype));
        return;
    }
    visit(dtype, [&](auto x) {
        using T = decltype(x);
        auto* const data = static_cast<T*>(array);
        is_copy ? detail::copy_param(tensor, data, is_square)
                : void(std::fill_n(data, size, as_state<T>(initial.value, is_square)));
    });
}

/// Masters begin as the parameters. Remainders and compensations begin with zero, which fresh memory is.
inline void start_master(const Tensor& tensor) {
    if (tensor.weights == WeightPolicy::master && tensor.extra[0])
        detail::copy_param(tensor, static_cast<float*>(tensor.extra[0]), false);
}

/// Writes the first values of all arrays that a tensor has beside its parameter and its gradient: its state, as its rule
/// and the hyper-parameters say, and what is stored beside half-precision weights.
inline void start_state(const Tensor& tensor, const RuleInfo& rule, const HyperValues& hyper, bool is_fresh) {
    for (std::size_t k = 0; k < rule.slot_count; ++k)
        start_slot(tensor, {rule.slots[k], rule.initial(hyper, k)}, tensor.state[k], is_fresh);
    for (std::size_t k = 0; k < 2 && !is_fresh; ++k) {
        const std::size_t bits = static_cast<std::size_t>(tensor.size) * extra_bits(tensor.weights)[k];
        if (bits > 0) std::memset(tensor.extra[k], 0, (bits + 7) / 8);
    }
    start_master(tensor);
}

}  // namespace adamcore

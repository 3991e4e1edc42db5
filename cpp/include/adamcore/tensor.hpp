#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "adamcore/dtype.hpp"

namespace adamcore {

/// The most state arrays that a rule may keep for one parameter.
inline constexpr std::size_t max_slots = 3;

/// One parameter and all that an update of it reads and writes.
///
/// The arrays hold `size` dense elements each, in one common order, and do not overlap. A null `grad` means
/// that the tensor is left alone; so does a `size` of 0. `state` is in the order of the rule's `slots`. One cache line,
/// since models have thousands.
struct alignas(64) Tensor {
    void* param = nullptr;
    const void* grad = nullptr;
    void* state[max_slots] = {};
    std::int64_t size = 0;
    /// Number of this update for this parameter, counted from 1.
    std::int64_t step = 1;
    /// Index of the group whose rule and hyper-parameters apply.
    std::int32_t group = 0;
    Dtype dtype = Dtype::float32;
};

static_assert(sizeof(Tensor) == 64);

/// A tensor over typed arrays, `state` in the order of the rule's slots.
template <class T, class... State>
Tensor tensor(T* param, const T* grad, std::int64_t size, std::int64_t step, State*... state) {
    static_assert((std::is_same_v<T, State> && ...), "state has the parameter's type");
    static_assert(sizeof...(State) <= max_slots);
    return {param, grad, {state...}, size, step, 0, dtype_of<T>};
}

}  // namespace adamcore

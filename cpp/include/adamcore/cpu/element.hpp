#pragma once

#include <cstdint>

#include "adamcore/gradient.hpp"
#include "adamcore/rule.hpp"

/// How kernels read and write one element of arrays, of which they use only some.
namespace adamcore::cpu::detail {

/// Element `i` of an array if the kernel uses the array, or 0.
template <bool Uses, class T>
ADAMCORE_FN T get([[maybe_unused]] const T* array, [[maybe_unused]] std::int64_t i) {
    if constexpr (Uses) {
        return array[i];
    } else {
        return T(0);
    }
}
template <bool Uses, class T>
ADAMCORE_FN void put([[maybe_unused]] T* array, [[maybe_unused]] std::int64_t i, [[maybe_unused]] T value) {
    if constexpr (Uses) array[i] = value;
}

/// The gradient that a kernel receives which reads these arrays: 0 if the gradient is none of them.
template <unsigned Reads, bool HasL2, class Step, class T>
ADAMCORE_FN auto seen_at([[maybe_unused]] const Step& step, [[maybe_unused]] T grad_scale,
                         [[maybe_unused]] std::int64_t i, [[maybe_unused]] T param, [[maybe_unused]] const T* grad) {
    if constexpr ((Reads & rule::grad) != 0) {
        return gradient::seen<HasL2>(step, grad[i], grad_scale, param);
    } else {
        return T(0);
    }
}

}  // namespace adamcore::cpu::detail

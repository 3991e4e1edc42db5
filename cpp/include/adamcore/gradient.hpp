#pragma once

#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"

/// What happens to an element of a gradient before a rule uses it.
namespace adamcore::gradient {

/// A limit as T. A limit that T cannot represent limits nothing.
template <class T>
ADAMCORE_FN T limit_in(double limit) {
    constexpr double largest = sizeof(T) == 4 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
    return limit <= largest ? static_cast<T>(limit) : static_cast<T>(__builtin_inf());
}

/// `x` clipped to [-limit, limit]. NaN remains NaN.
template <class T>
ADAMCORE_FN T held(T x, T limit) {
    return math::select(x > limit, limit, math::select(x < -limit, -limit, x));
}

template <class T>
ADAMCORE_FN T scaled(T grad, T scale) {
    return grad * scale;
}
template <class T>
ADAMCORE_FN T scaled(T grad, Multiplier<T> scale) {
    return scale(grad);
}

/// The gradient that a rule receives: scaled by a T or a Multiplier, plus the L2 term if there is one.
template <bool HasL2, class Step, class T, class By>
ADAMCORE_FN auto seen([[maybe_unused]] const Step& step, T grad, By grad_scale, [[maybe_unused]] T param) {
    if constexpr (HasL2) {
        return static_cast<double>(scaled(grad, grad_scale)) + step.l2 * static_cast<double>(param);
    } else {
        return scaled(grad, grad_scale);
    }
}

}  // namespace adamcore::gradient

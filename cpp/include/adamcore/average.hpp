#pragma once

#include <type_traits>

#include "adamcore/math.hpp"

namespace adamcore {

/// The weights of a running average: `keep * average + fresh * x`.
///
/// `x` has type T, or double if it is itself a sum that should not be rounded yet. In that case the average is computed
/// in double and rounded once.
template <class T>
struct Average {
    T keep, fresh;
    /// `fresh` in twice the precision of T, `high` rounded toward zero so that `low` is not negative: where squares
    /// overflow, both products are +inf.
    T fresh_high, fresh_low;
    double wide_keep, wide_fresh;
};

template <class T>
ADAMCORE_FN Average<T> make_average(double keep, double fresh) noexcept {
    T high = static_cast<T>(fresh);
    // One step down is enough, because the conversion rounds to nearest.
    if (static_cast<double>(high) > fresh) high = high - high * (sizeof(T) == 4 ? T(0x1p-24) : T(0x1p-53));
    const T low = static_cast<T>(fresh - static_cast<double>(high));
    return {static_cast<T>(keep), static_cast<T>(fresh), high, low, keep, fresh};
}

/// keep * average + fresh * x, within 2 ulp of the terms.
template <class T, class X>
ADAMCORE_FN T average(const Average<T>& a, T value, X x) {
    if constexpr (std::is_same_v<T, X>) {
        return a.keep * value + a.fresh * x;
    } else {
        return T(a.wide_keep * value + a.wide_fresh * x);
    }
}

/// keep * average + fresh * x^2, within 2 ulp.
///
/// A weight such as 0.001 is off by up to an ulp when it is rounded to float, and this error goes into the average. The
/// low part avoids it, and costs 3% of the time in cache.
template <class T, class X>
ADAMCORE_FN T average_square(const Average<T>& a, T value, X x) {
    if constexpr (std::is_same_v<T, X>) {
        return (a.keep * value + a.fresh_low * x * x) + a.fresh_high * x * x;
    } else {
        return T(a.wide_keep * value + a.wide_fresh * x * x);
    }
}

}  // namespace adamcore

#pragma once

#include <cstdint>

#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/storage/formats.hpp"
#include "adamcore/storage/layout.hpp"
#include "adamcore/sums.hpp"

/// Sums of squares in the fixed shape of sums.hpp, so that the bits of a norm depend only on the values of the elements.
namespace adamcore::norm {

/// An array whose norm is to be computed.
struct Reading {
    const void* data = nullptr;
    std::int64_t size = 0;
    Dtype dtype = Dtype::float32;
    Axes axes{};
};

/// A sum of squares, `sum * 2^(2 * shift * power)`. Squares of doubles may be outside the range of double.
struct Squares {
    double sum = 0;
    std::int32_t power = 0;
    /// Whether one of the numbers is finite as a double but infinite as a float.
    std::int32_t outgrows = 0;

    static constexpr int shift = 540;
};

/// (x * scale)^2. For all types but double it is exact, and `scale` is ignored.
template <class Stored>
ADAMCORE_FN double wide_square(Stored x, double scale) {
    double wide = static_cast<double>(storage::decode(x));
    if constexpr (sizeof(Stored) == 8) wide *= scale;
    return wide * wide;
}

/// Adds (x * scale)^2 of `count` elements. `count` is a multiple of `lanes`, except at the end of the leaf.
template <class Stored>
ADAMCORE_FN void accumulate(sums::LaneSums& sums, const Stored* x, std::int64_t count, double scale) {
    std::int64_t at = 0;
    for (; at + sums::lanes <= count; at += sums::lanes) {
        for (int lane = 0; lane < sums::lanes; ++lane) sums.of[lane] += wide_square(x[at + lane], scale);
    }
    for (int lane = 0; lane < count - at; ++lane) sums.of[lane] += wide_square(x[at + lane], scale);
}

/// The scale with which to sum a leaf's squares a second time, given `sum`, the result with scale 1. Returns 1 if that
/// sum is usable.
template <class Stored>
ADAMCORE_FN double second_scale(double sum) {
    if (sizeof(Stored) < 8 || (sum > 0x1p-900 && sum < 0x1p900) || sum != sum) return 1;
    return sum >= 0x1p900 ? 0x1p-540 : 0x1p540;
}

/// The Squares for which `sum` is the total of (x * scale)^2.
ADAMCORE_FN Squares scaled_squares(double sum, double scale) {
    if (scale < 1) return {sum, sum < 0x1p1023 ? 1 : 0};
    return {sum, scale > 1 && sum > 0 ? -1 : 0};
}

/// Whether a double is infinite when it is rounded to the nearest float.
ADAMCORE_FN bool is_infinite_in_float(double x) { return x >= 0x1.ffffffp127 || x <= -0x1.ffffffp127; }

/// Whether an element may be infinite as a float, given the sum of squares. If so, the elements must be checked one by
/// one.
template <class Stored>
ADAMCORE_FN bool may_outgrow_float(double sum) {
    return sizeof(Stored) == 8 && sum >= 0x1p255;
}

/// The squares of a leaf. `sum(scale)` returns the total of (x * scale)^2, and `outgrows()` whether an element is
/// infinite as a float. The result is not finite if and only if an element is not.
template <class Stored, class Sum, class Outgrows>
ADAMCORE_FN Squares leaf_squares(Sum&& sum, Outgrows&& outgrows) {
    const double plain = sum(1.0);
    const double scale = second_scale<Stored>(plain);
    Squares squares = scale == 1 ? Squares{plain, 0} : scaled_squares(sum(scale), scale);
    if (may_outgrow_float<Stored>(plain)) squares.outgrows = outgrows() ? 1 : 0;
    return squares;
}

namespace detail {

/// Adds two sums of squares with different powers.
ADAMCORE_CALL Squares sum_of_unequal(Squares a, Squares b) {
    if (a.power < b.power) {
        const Squares larger = b;
        b = a;
        a = larger;
    }
    ADAMCORE_ROLLED
    for (std::int32_t power = b.power; power < a.power; ++power) b.sum = b.sum * 0x1p-540 * 0x1p-540;
    return {a.sum + b.sum, a.power, a.outgrows | b.outgrows};
}

}  // namespace detail

ADAMCORE_FN Squares operator+(Squares a, Squares b) {
    if (a.power == b.power) return {a.sum + b.sum, a.power, a.outgrows | b.outgrows};
    if (b.sum == 0) return a;
    return a.sum == 0 ? b : detail::sum_of_unequal(a, b);
}

ADAMCORE_FN bool is_finite(Squares squares) { return squares.sum - squares.sum == 0; }

/// The L2 norm, given the sum of squares.
ADAMCORE_CALL Scale magnitude(Squares squares) {
    const double root = math::sqrt(squares.sum);
    return squares.power == 0 && scale::is_usual(root) ? Scale(root)
                                                       : scale::normalised(root, Squares::shift * squares.power);
}

/// The L2 norm of the numbers multiplied by `scale` > 0.
ADAMCORE_CALL Scale magnitude(Squares squares, Scale scale) { return scale::product(magnitude(squares), scale); }

/// The same as a double. It is infinite if it is beyond the range of double.
ADAMCORE_CALL double root(Squares squares, Scale scale = 1) { return scale::value(magnitude(squares, scale)); }

/// Whether the numbers with these squares are finite. If they will be `narrowed`, they must be finite as float32 too.
ADAMCORE_FN bool fits(Squares squares, bool narrowed) { return is_finite(squares) && !(narrowed && squares.outgrows); }

/// min(1, limit / (norm + 1e-6)), as in PyTorch. It is 1 if the norm is not finite, because clipping cannot repair
/// that.
ADAMCORE_CALL Scale clip_factor(Squares squares, Scale scale, double limit) {
    if (!is_finite(squares) || limit - limit != 0) return 1;
    const Scale norm = magnitude(squares, scale);
    // With a power, the norm is so small that only 1e-6 remains, or so large that 1e-6 vanishes.
    const double wide = (norm.power < 0 ? 0 : norm.number) + 1e-6;
    const Scale factor = limit / (norm.power > 0 ? norm : Scale(wide));
    return is_below_one(factor) ? factor : 1;
}

/// The factor of a unit, a row of weights, in adaptive clipping (Brock et al. 2021, "High-performance large-scale image
/// recognition without normalization", equation 3). It limits the norm of the gradient to `limit` times the norm of the
/// weights, which counts as at least 1e-3.
ADAMCORE_FN Scale adaptive_factor(Squares weights, Squares grads, Scale scale, double limit) {
    if (!is_finite(weights) || !is_finite(grads) || limit - limit != 0) return 1;
    const Scale size = magnitude(weights), norm = magnitude(grads) * scale;
    const Scale most = limit * (size < 1e-3 ? Scale(1e-3) : size);
    if (!(most < norm)) return 1;
    return most / (norm < 1e-6 ? Scale(1e-6) : norm);
}

}  // namespace adamcore::norm

#pragma once

#include <cstdint>

#include "adamcore/layout.hpp"
#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/storage.hpp"

/// Sums of squares of one fixed shape, so that a norm's bits depend on the numbers alone.
///
/// Elements are counted in C order from the tensor's start. A leaf of 4096 of them is summed in double by 32 lanes,
/// element i by lane i mod 32. Lanes are added up by halves (i and i + 16 first), the tensor's leaves and then the tensors
/// by pairs of neighbours.
namespace adamcore::norm {

inline constexpr std::int64_t leaf = 4096;
inline constexpr int lanes = 32;

constexpr std::int64_t leaves_of(std::int64_t size) { return (size + leaf - 1) / leaf; }

/// An array whose norm is asked for.
struct Reading {
    const void* data = nullptr;
    std::int64_t size = 0;
    Dtype dtype = Dtype::float32;
    Axes axes{};
};

/// The sum of squares `sum * 2^(2 * shift * power)`: squares of doubles may be beyond the range of double.
struct Squares {
    double sum = 0;
    std::int32_t power = 0;
    /// Whether one of the numbers, finite as a double, is infinite as a float.
    std::int32_t outgrows = 0;

    static constexpr int shift = 540;
};

/// (x * scale)^2, without scale and exact for all but doubles.
template <class Stored>
ADAMCORE_FN double wide_square(Stored x, double scale) {
    double wide = static_cast<double>(storage::decode(x));
    if constexpr (sizeof(Stored) == 8) wide *= scale;
    return wide * wide;
}

/// What a leaf's lanes have summed so far.
struct LaneSums {
    double of[lanes] = {};
};

/// Adds (x * scale)^2 of `count` elements, a multiple of `lanes` unless they are the leaf's last.
template <class Stored>
ADAMCORE_FN void accumulate(LaneSums& sums, const Stored* x, std::int64_t count, double scale) {
    std::int64_t at = 0;
    for (; at + lanes <= count; at += lanes) {
        for (int lane = 0; lane < lanes; ++lane) sums.of[lane] += wide_square(x[at + lane], scale);
    }
    for (int lane = 0; lane < count - at; ++lane) sums.of[lane] += wide_square(x[at + lane], scale);
}

ADAMCORE_FN double total(LaneSums& sums) {
    for (int width = lanes / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) sums.of[lane] += sums.of[lane + width];
    }
    return sums.of[0];
}

/// What a leaf's elements are to be multiplied by before their squares are summed again, `sum` having come of 1: still 1
/// where that sum is good.
template <class Stored>
ADAMCORE_FN double second_scale(double sum) {
    if (sizeof(Stored) < 8 || (sum > 0x1p-900 && sum < 0x1p900) || sum != sum) return 1;
    return sum >= 0x1p900 ? 0x1p-540 : 0x1p540;
}

/// The squares of which `sum` is the total of (x * scale)^2.
ADAMCORE_FN Squares scaled_squares(double sum, double scale) {
    if (scale < 1) return {sum, sum < 0x1p1023 ? 1 : 0};
    return {sum, scale > 1 && sum > 0 ? -1 : 0};
}

/// Whether a double is infinite as a float, which is rounded to nearest.
ADAMCORE_FN bool is_infinite_in_float(double x) { return x >= 0x1.ffffffp127 || x <= -0x1.ffffffp127; }

/// Whether numbers of which `sum` is the total of squares may be, so that one has to look.
template <class Stored>
ADAMCORE_FN bool may_outgrow_float(double sum) {
    return sizeof(Stored) == 8 && sum >= 0x1p255;
}

/// The squares of a leaf, of which `sum(scale)` is the total of (x * scale)^2, and `outgrows()` tells whether an element is
/// infinite in float. Not finite if and only if an element is not.
template <class Stored, class Sum, class Outgrows>
ADAMCORE_FN Squares leaf_squares(Sum&& sum, Outgrows&& outgrows) {
    const double plain = sum(1.0);
    const double scale = second_scale<Stored>(plain);
    Squares squares = scale == 1 ? Squares{plain, 0} : scaled_squares(sum(scale), scale);
    if (may_outgrow_float<Stored>(plain)) squares.outgrows = outgrows() ? 1 : 0;
    return squares;
}

namespace detail {

/// The sum of squares of unequal powers.
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

/// The sum of `count` squares by pairs of neighbours; `terms` is overwritten.
ADAMCORE_FN Squares sum_pairs(Squares* terms, std::int64_t count) {
    if (count == 0) return {};
    ADAMCORE_ROLLED
    for (; count > 1; count = (count + 1) / 2) {
        ADAMCORE_ROLLED
        for (std::int64_t i = 0; i < count / 2; ++i) terms[i] = terms[2 * i] + terms[2 * i + 1];
        if (count % 2 != 0) terms[count / 2] = terms[count - 1];
    }
    return terms[0];
}

ADAMCORE_FN bool is_finite(Squares squares) { return squares.sum - squares.sum == 0; }

/// The L2 norm of numbers with these squares.
ADAMCORE_CALL Scale magnitude(Squares squares) {
    const double root = math::sqrt(squares.sum);
    return squares.power == 0 && scale::is_usual(root) ? Scale(root)
                                                       : scale::normalised(root, Squares::shift * squares.power);
}

/// The same of the numbers multiplied by `scale` > 0.
ADAMCORE_CALL Scale magnitude(Squares squares, Scale scale) { return scale::product(magnitude(squares), scale); }

/// And that as a double. Infinite where it is beyond double's range.
ADAMCORE_CALL double root(Squares squares, Scale scale = 1) { return scale::value(magnitude(squares, scale)); }

/// Whether numbers with these squares are finite and, if they are to be `narrowed`, still are in float32.
ADAMCORE_FN bool fits(Squares squares, bool narrowed) { return is_finite(squares) && !(narrowed && squares.outgrows); }

/// min(1, limit / (norm + 1e-6)), as PyTorch clips; 1 where the norm is not finite, which clipping cannot mend.
ADAMCORE_CALL Scale clip_factor(Squares squares, Scale scale, double limit) {
    if (!is_finite(squares) || limit - limit != 0) return 1;
    const Scale norm = magnitude(squares, scale);
    // With a power it is so small that 1e-6 is all that is left, or so large that nothing is left of 1e-6.
    const double wide = (norm.power < 0 ? 0 : norm.number) + 1e-6;
    const Scale factor = limit / (norm.power > 0 ? norm : Scale(wide));
    return is_below_one(factor) ? factor : 1;
}

/// The factor of a unit, a row of weights, in adaptive clipping (Brock et al. 2021, "High-performance large-scale
/// image recognition without normalization", equation 3): the gradient's norm is held to `limit` times the weights',
/// which count for at least 1e-3.
ADAMCORE_FN Scale adaptive_factor(Squares weights, Squares grads, Scale scale, double limit) {
    if (!is_finite(weights) || !is_finite(grads) || limit - limit != 0) return 1;
    const Scale size = magnitude(weights), norm = magnitude(grads) * scale;
    const Scale most = limit * (size < 1e-3 ? Scale(1e-3) : size);
    if (!(most < norm)) return 1;
    return most / (norm < 1e-6 ? Scale(1e-6) : norm);
}

}  // namespace adamcore::norm

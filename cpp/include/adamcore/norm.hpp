#pragma once

#include <cmath>
#include <cstdint>

#include "adamcore/layout.hpp"
#include "adamcore/math.hpp"
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

/// The squares of a leaf, of which `sum(scale)` is the total of (x * scale)^2. Not finite if and only if an element is
/// not.
template <class Stored, class Sum>
ADAMCORE_FN Squares leaf_squares(Sum&& sum) {
    const double plain = sum(1.0);
    const double scale = second_scale<Stored>(plain);
    return scale == 1 ? Squares{plain, 0} : scaled_squares(sum(scale), scale);
}

/// x * 2^power.
ADAMCORE_CALL double scaled(double x, std::int32_t power) { return std::ldexp(x, power); }

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
    return {a.sum + b.sum, a.power};
}

}  // namespace detail

ADAMCORE_FN Squares operator+(Squares a, Squares b) {
    if (a.power == b.power) return {a.sum + b.sum, a.power};
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

/// The L2 norm of numbers with these squares, each multiplied by `scale` > 0. Infinite where it is beyond double's range.
ADAMCORE_CALL double root(Squares squares, double scale = 1) {
    return scaled(math::sqrt(squares.sum) * scale, Squares::shift * squares.power);
}

/// Whether numbers with these squares are finite and, if they are to be `narrowed`, in float's range too.
ADAMCORE_FN bool fits(Squares squares, bool narrowed) {
    return is_finite(squares) && (!narrowed || root(squares) <= 0x1.fffffep127);
}

/// root() / 2^shift, which is finite for all finite squares and scales up to 1.
ADAMCORE_FN double small_root(Squares squares, double scale = 1) {
    return root({squares.sum, squares.power - 1}, scale);
}

/// min(1, limit / (norm + 1e-6)), as PyTorch clips; 1 where the norm is not finite, which clipping cannot mend.
ADAMCORE_CALL double clip_factor(Squares squares, double scale, double limit) {
    if (!is_finite(squares)) return 1;
    double most = limit, norm = root(squares, scale) + 1e-6;
    if (norm - norm != 0) {
        most = scaled(limit, -Squares::shift);
        norm = small_root(squares, scale);
    }
    return std::fmin(1.0, most / norm);
}

/// The factor of a unit, a row of weights, in adaptive clipping (Brock et al. 2021, "High-performance large-scale
/// image recognition without normalization", equation 3): the gradient's norm is held to `limit` times the weights',
/// which count for at least 1e-3.
ADAMCORE_FN double adaptive_factor(Squares weights, Squares grads, double scale, double limit) {
    if (!is_finite(weights) || !is_finite(grads)) return 1;
    double most = limit * std::fmax(root(weights), 1e-3);
    double norm = root(grads, scale);
    if (most - most != 0 || norm - norm != 0) {
        most = limit * std::fmax(small_root(weights), scaled(1e-3, -Squares::shift));
        norm = small_root(grads, scale);
        return norm > most ? most / norm : 1;
    }
    return norm > most ? most / std::fmax(norm, 1e-6) : 1;
}

}  // namespace adamcore::norm

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "adamcore/math.hpp"
#include "adamcore/statistics/columns.hpp"
#include "adamcore/sums.hpp"

ADAMCORE_LOOPS_BEGIN

/// What is added up while a leaf is visited. Lanes begin at the first element of a leaf, so elements are visited in whole
/// multiples of lanes, except at its end.
namespace adamcore::cpu {

/// The sums of a leaf.
struct LeafLanes {
    sums::LaneSums grads, weights, updates, products, firsts, seconds;
    double largest = 0;
    std::int64_t zeros = 0, lost = 0, below = 0;
};

namespace detail {

template <class T>
ADAMCORE_FN void prefetch_lanes([[maybe_unused]] const T* array, [[maybe_unused]] std::int64_t ahead) {
#if defined(__GNUC__)
    for (std::int64_t i = 0; i < sums::lanes; i += 64 / std::int64_t{sizeof(T)})
        __builtin_prefetch(array + ahead + i, 0, 3);
#endif
}

/// Calls `f(i, lane)` for `count` elements, and prefetches elements of `arrays` that lie `ahead` of them. (Prefetching is
/// done here and not in a callable: GCC removes calls of those that do nothing else.)
template <class F, class... T>
ADAMCORE_FN void over_lanes(std::int64_t count, F&& f, [[maybe_unused]] std::int64_t ahead = 0, const T*... arrays) {
    std::int64_t at = 0;
    for (; at + sums::lanes <= count; at += sums::lanes) {
        (prefetch_lanes(arrays + at, ahead), ...);
        ADAMCORE_IVDEP
        for (int lane = 0; lane < sums::lanes; ++lane) f(at + lane, lane);
    }
    for (int lane = 0; lane < count - at; ++lane) f(at + lane, lane);
}

/// sum + a * b, where the product is exact if both numbers are floats. Then one rounding gives the bits of two.
template <class T>
ADAMCORE_FN double plus_product(double sum, double a, double b) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
    if constexpr (sizeof(T) == 4) return __builtin_fma(a, b, sum);
#endif
    return sum + a * b;
}

/// Integers of the size of T.
template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

/// The bits of |x|. As integers, magnitudes have the order that they have as numbers, and NaN is the largest.
template <class T>
ADAMCORE_FN BitsOf<T> magnitude_bits(T x) {
    BitsOf<T> bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits & (~BitsOf<T>{0} >> 1);
}

/// The least T that is not below a nonnegative bound.
template <class T>
ADAMCORE_FN T bound_in(double bound) {
    const T rounded = static_cast<T>(bound);
    BitsOf<T> bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    bits += math::select<BitsOf<T>>(static_cast<double>(rounded) < bound, 1, 0);
    T least;
    std::memcpy(&least, &bits, sizeof least);
    return least;
}

// (Structs and not lambdas: a lambda's call could not be forced inline.)
struct Larger {
    template <class Bits>
    ADAMCORE_FN Bits operator()(Bits a, Bits b) const {
        return math::max(a, b);
    }
};
struct Sum {
    template <class Bits>
    ADAMCORE_FN Bits operator()(Bits a, Bits b) const {
        return a + b;
    }
};

/// The result of Combine for all lanes, by halves, which is one instruction for many lanes.
template <class Combine, class Bits>
ADAMCORE_FN Bits fold_lanes(const Bits* lanes) {
    Bits folded[sums::lanes];
    for (int lane = 0; lane < sums::lanes; ++lane) folded[lane] = lanes[lane];
    for (int width = sums::lanes / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) folded[lane] = Combine{}(folded[lane], folded[lane + width]);
    }
    return folded[0];
}

/// Copies of the sums, which compilers can tell from the arrays, and counts for each lane. Those that are not used cost
/// nothing.
template <class T>
struct LaneTotals {
    sums::LaneSums grads, weights, updates, products, firsts, seconds;
    BitsOf<T> largest[sums::lanes] = {}, zeros[sums::lanes] = {}, below[sums::lanes] = {};

    ADAMCORE_FN LaneTotals() {}

    /// Takes the sums of these parts.
    template <unsigned Parts>
    ADAMCORE_FN void load(const LeafLanes& from) {
        if constexpr ((Parts & statistics::squares) != 0) grads = from.grads;
        if constexpr ((Parts & statistics::weights) != 0) weights = from.weights, updates = from.updates;
        if constexpr ((Parts & statistics::agreement) != 0) products = from.products, firsts = from.firsts;
        if constexpr ((Parts & statistics::seconds) != 0) seconds = from.seconds;
    }

    ADAMCORE_FN void add_square(T grad, int lane) {
        const double g = static_cast<double>(grad);
        grads.of[lane] = plus_product<T>(grads.of[lane], g, g);
    }
    ADAMCORE_FN void add_change(T before, T after, int lane) {
        const double was = static_cast<double>(before), change = static_cast<double>(after) - was;
        weights.of[lane] = plus_product<T>(weights.of[lane], was, was);
        updates.of[lane] += change * change;
    }
    /// The first moment may be of another type.
    template <class M>
    ADAMCORE_FN void add_agreement(M first, T grad, int lane) {
        using Wider = std::conditional_t<sizeof(M) == 8, M, T>;
        const double m = static_cast<double>(first), g = static_cast<double>(grad);
        products.of[lane] = plus_product<Wider>(products.of[lane], m, g);
        firsts.of[lane] = plus_product<M>(firsts.of[lane], m, m);
    }
    ADAMCORE_FN void add_extremes(T grad, int lane) {
        const BitsOf<T> bits = magnitude_bits(grad);
        largest[lane] = math::max(bits, largest[lane]);
        zeros[lane] += math::select<BitsOf<T>>(bits == 0, 1, 0);
    }
    ADAMCORE_FN void add_second(T second, T floor, int lane) {
        seconds.of[lane] += static_cast<double>(second);
        below[lane] += math::select<BitsOf<T>>(second < floor, 1, 0);
    }

    ADAMCORE_FN double largest_grad() const {
        const BitsOf<T> bits = fold_lanes<Larger>(largest);
        T magnitude;
        std::memcpy(&magnitude, &bits, sizeof magnitude);
        return static_cast<double>(magnitude);
    }
    ADAMCORE_FN static std::int64_t count_of(const BitsOf<T>* counts) {
        return static_cast<std::int64_t>(fold_lanes<Sum>(counts));
    }

    /// Gives them back.
    template <unsigned Parts>
    ADAMCORE_FN void store(LeafLanes& to) const {
        if constexpr ((Parts & statistics::squares) != 0) to.grads = grads;
        if constexpr ((Parts & statistics::weights) != 0) to.weights = weights, to.updates = updates;
        if constexpr ((Parts & statistics::agreement) != 0) to.products = products, to.firsts = firsts;
        if constexpr ((Parts & statistics::seconds) != 0) to.seconds = seconds, to.below += count_of(below);
        if constexpr ((Parts & statistics::extremes) != 0) {
            to.largest = math::max(largest_grad(), to.largest);
            to.zeros += count_of(zeros);
        }
    }
};

}  // namespace detail

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

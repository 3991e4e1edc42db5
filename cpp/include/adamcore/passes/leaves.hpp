#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "adamcore/math.hpp"
#include "adamcore/rule.hpp"

/// Weighted sums of gradients, to which leaf after leaf is added.
namespace adamcore::leaf {

/// The weight of the sum so far, and that of a new leaf.
struct Weights {
    double kept = 1, added = 1;
};

/// Whether T represents a weight, so that products with it are rounded once.
template <class T>
ADAMCORE_FN bool represents(double weight) {
    constexpr double largest = sizeof(T) == 4 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
    return weight <= largest && static_cast<double>(static_cast<T>(weight)) == weight;
}

/// A weight by which elements are multiplied, with one rounding to T.
template <class T>
struct Exact {
    T weight;

    ADAMCORE_FN T operator()(T x) const { return weight * x; }
};

/// The same for a weight with more digits than a float. `high` has the first 29 of its 53 bits, so that products of floats
/// with either part are exact in double.
template <>
struct Exact<float> {
    double high, low;

    /// The sum of both products is rounded to odd first (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded
    /// sums: proved algorithms using rounding to odd"): a last bit of 1 says that something was lost, so that rounding
    /// this to float is as rounding the exact product.
    ADAMCORE_FN float operator()(float x) const {
        const double a = high * static_cast<double>(x), b = low * static_cast<double>(x);
        const double sum = a + b, lost = b - (sum - a);
        std::int64_t bits;
        std::memcpy(&bits, &sum, sizeof bits);
        // What was lost makes the magnitude larger or smaller, if it is a number other than 0.
        const double outwards = math::select(sum > 0, lost, -lost);
        const std::int64_t none = 0, even = (bits & 1) - 1;  // all ones or none
        const std::int64_t larger = math::select(outwards > 0, even, none),
                           smaller = math::select(outwards < 0, even, none);
        bits += smaller - larger;
        double odd;
        std::memcpy(&odd, &bits, sizeof odd);
        return math::select(x - x == 0, static_cast<float>(odd), x);  // `low` may be 0, and 0 times infinity is NaN
    }
};

template <class T>
ADAMCORE_FN Exact<T> exact(double weight) {
    if constexpr (sizeof(T) == 4) {
        std::uint64_t bits;
        std::memcpy(&bits, &weight, sizeof bits);
        bits &= ~std::uint64_t{0xffffff};
        double high;
        std::memcpy(&high, &bits, sizeof high);
        return {high, weight - high};
    } else {
        return {weight};
    }
}

/// What is known of both weights before the loop over elements.
template <class T>
struct Step {
    T kept, added;
    Exact<T> exactly_kept, exactly_added;
};

template <class T>
ADAMCORE_FN Step<T> prepare(Weights weights) {
    return {T(weights.kept), T(weights.added), exact<T>(weights.kept), exact<T>(weights.added)};
}

// Passes over sums. They have what an engine needs to know of an update, where the sum takes the place of the parameter.

/// The first leaf: the sum becomes the gradient itself.
struct Take {
    static constexpr auto slots = rule::slots();
    static constexpr unsigned reads = rule::grad, writes = rule::param;
    template <class T>
    using Step = leaf::Step<T>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>&, G g, T& sum) {
        sum = T(g);
    }
};

/// A further leaf, where the sum's type represents both weights.
struct Add {
    static constexpr auto slots = rule::slots();
    template <class T>
    using Step = leaf::Step<T>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& sum) {
        sum = s.kept * sum + s.added * T(g);
    }
};

/// The same with any weights.
struct AddExactly {
    static constexpr auto slots = rule::slots();
    template <class T>
    using Step = leaf::Step<T>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& sum) {
        sum = s.exactly_kept(sum) + s.exactly_added(T(g));
    }
};

/// Gives its weight to a sum that consists of one leaf. (A gradient marks tensors that take part; it is not read.)
struct Weigh {
    static constexpr auto slots = rule::slots();
    static constexpr unsigned reads = rule::param, writes = rule::param;
    template <class T>
    using Step = leaf::Step<T>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& sum) {
        sum = s.exactly_kept(sum);
    }
};

/// Engines iterate over this list, in the order of Pass.
using All = rule::List<Take, Add, AddExactly, Weigh>;

enum class Pass : std::uint8_t { take, add, add_exactly, weigh };

}  // namespace adamcore::leaf

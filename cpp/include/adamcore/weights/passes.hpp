#pragma once

#include "adamcore/rule.hpp"
#include "adamcore/tensor.hpp"

/// Passes over weights, element by element, that are no steps. They have what an engine needs to know of an update:
/// slots, a Step, and update().
namespace adamcore::weight_pass {

/// The share of its way that an element goes.
template <class T>
struct Step {
    T share;
};

/// Moves weights towards another array, or away from it if the share is negative.
struct Approach {
    static constexpr auto slots = rule::slots(rule::unscaled("goal").in_full());
    template <class T>
    using Step = weight_pass::Step<T>;

    static constexpr unsigned reads = rule::param | rule::slot(0), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& weight, T& goal) {
        weight = weight + s.share * (goal - weight);
    }
};

/// Moves another array towards the weights. With a share of 1 it becomes a copy.
struct Average {
    static constexpr auto slots = rule::slots(rule::unscaled("average").in_full());
    template <class T>
    using Step = weight_pass::Step<T>;

    static constexpr unsigned reads = rule::param | rule::slot(0), writes = rule::slot(0);

    template <class T>
    ADAMCORE_FN static T moved(const Step<T>& s, T average, T weight) {
        return math::select(s.share == 1, weight, average + s.share * (weight - average));
    }
    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& weight, T& average) {
        average = moved(s, average, weight);
    }
};

/// Moves another array towards the weights, which then go on from there (Zhang et al. 2019, "Lookahead optimizer: k steps
/// forward, 1 step back").
struct Lookahead : Average {
    static constexpr unsigned writes = rule::param | rule::slot(0);

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& weight, T& slow) {
        slow = weight = moved(s, slow, weight);
    }
};

/// Exchanges weights with another array.
struct Exchange : Approach {
    static constexpr unsigned writes = rule::param | rule::slot(0);

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>&, G, T& weight, T& other) {
        const T before = weight;
        weight = other;
        other = before;
    }
};

/// A tensor as a pass sees it, whose other array is `array`. (A gradient marks tensors that take part; no pass reads it.)
/// Weights that are rounded at random take the random numbers of step 0, which no step has.
inline Tensor weights_of(const Tensor& tensor, void* array) noexcept {
    Tensor seen = tensor;
    for (void*& state : seen.state) state = nullptr;
    seen.state[0] = array;
    seen.grad = tensor.param;
    seen.grad_dtype = tensor.dtype;
    seen.step = 0;
    return seen;
}

/// Engines iterate over this list. A Step has the same members in all of them.
using All = rule::List<Approach, Average, Lookahead, Exchange>;

}  // namespace adamcore::weight_pass

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
using All = rule::List<Approach>;

}  // namespace adamcore::weight_pass

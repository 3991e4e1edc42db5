#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "adamcore/dtype.hpp"
#include "adamcore/layout.hpp"
#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"

namespace adamcore {

/// The most state arrays that a rule may keep for one parameter.
inline constexpr std::size_t max_slots = 4;

/// What is kept of a half-precision weight beside the parameter's own array, or how it is rounded into that. Other
/// parameters are plain whatever it says.
enum class WeightPolicy : std::uint8_t {
    plain,        ///< the parameter alone, rounded to nearest
    master,       ///< `extra[0]`: the weight in float32
    remainder,    ///< of bfloat16; `extra[0]`: 16 more bits, uint16; `extra[1]`: ties, a bit for each, in whole bytes
    compensated,  ///< `extra[0]`: what rounding lost, in the parameter's type
    stochastic,   ///< the parameter alone, rounded up or down at random
};

/// Its earlier name, for programs that use it.
using Weights = WeightPolicy;

/// How half-precision state is rounded when it is stored; state_rounding.hpp has the way. Other state is not rounded.
enum class StateRounding : std::uint8_t { nearest, stochastic };

/// How many bits of each extra array belong to a weight; 0: there is no such array.
constexpr std::array<std::size_t, 2> extra_bits(WeightPolicy weights) {
    switch (weights) {
        case WeightPolicy::master: return {32, 0};
        case WeightPolicy::remainder: return {16, 1};
        case WeightPolicy::compensated: return {16, 0};
        case WeightPolicy::plain:
        case WeightPolicy::stochastic: break;
    }
    return {0, 0};
}

/// One parameter and all that an update of it reads and writes.
///
/// The arrays hold `size` elements each and do not overlap. State and extras are dense; so are parameter and gradient
/// unless `layout` says how to walk them. A null `grad` means that the tensor is left alone; so does a `size` of 0.
/// `state` is in the order of the rule's `slots`. An update of float64 parameters, whose state is float64, is computed
/// in float64, any other in float32. Models have thousands of tensors: what the usual ones need is in one cache line.
struct alignas(64) Tensor {
    void* param = nullptr;
    const void* grad = nullptr;
    std::int64_t size = 0;
    /// Number of this update for this parameter, counted from 1.
    std::int64_t step = 1;
    /// Index of the group whose rule and hyper-parameters apply.
    std::int32_t group = 0;
    Dtype dtype = Dtype::float32;
    Dtype grad_dtype = Dtype::float32;
    Dtype state_dtype = Dtype::float32;
    WeightPolicy weights = WeightPolicy::plain;
    const Layout* layout = nullptr;
    void* state[max_slots] = {};

    void* extra[2] = {};
    /// Where gradients are clipped unit by unit: a factor for every `unit_size` elements.
    const Scale* unit_factors = nullptr;
    std::int64_t unit_size = 0;
    /// What stochastic rounding tells tensors apart by: Python makes it from the parameter's name.
    std::uint32_t number = 0;
    StateRounding state_rounding = StateRounding::nearest;

    /// Whether gradients are read into a smaller type.
    bool narrows_grad() const { return grad_dtype == Dtype::float64 && dtype != Dtype::float64; }
    ADAMCORE_FN bool rounds_state_at_random() const {
        const bool is_half = state_dtype == Dtype::float16 || state_dtype == Dtype::bfloat16;
        return is_half && state_rounding == StateRounding::stochastic;
    }
};

static_assert(sizeof(Tensor) == 128 && offsetof(Tensor, state) == 48);

/// A tensor over dense typed arrays, `state` in the order of the rule's slots.
template <class T, class G, class... State>
Tensor tensor(T* param, const G* grad, std::int64_t size, std::int64_t step, State*... state) {
    static_assert(sizeof...(State) <= max_slots);
    Tensor t;
    t.param = param;
    t.grad = grad;
    t.size = size;
    t.step = step;
    t.dtype = dtype_of<T>;
    t.grad_dtype = dtype_of<G>;
    t.state_dtype = compute_dtype(t.dtype);
    if constexpr (sizeof...(State) > 0) {
        using S = std::common_type_t<State...>;
        static_assert((std::is_same_v<S, State> && ...), "state has one type");
        static_assert(std::is_same_v<S, double> == std::is_same_v<T, double>, "float64 goes with float64");
        t.state_dtype = dtype_of<S>;
        void* const arrays[] = {state...};
        for (std::size_t slot = 0; slot < sizeof...(State); ++slot) t.state[slot] = arrays[slot];
    }
    return t;
}

/// What becomes of gradients on their way to a rule, beside the group's own factor.
struct Treatment {
    /// Gradients are multiplied by `scale`, by their tensor's factor if there are any, and by their unit's.
    Scale scale{};
    const Scale* tensor_factors = nullptr;
    /// Then they are held to [-limit, limit].
    double limit = no_limit;
    /// Whether tensors have unit_factors.
    bool by_units = false;
    /// For stochastic rounding.
    std::uint64_t seed = 0;

    static constexpr double no_limit = std::numeric_limits<double>::infinity();

    ADAMCORE_FN bool prepares() const { return by_units || limit < no_limit; }
    Scale scale_of(std::int64_t tensor) const { return tensor_factors ? scale * tensor_factors[tensor] : scale; }
};

}  // namespace adamcore

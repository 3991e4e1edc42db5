#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "adamcore/dtype.hpp"
#include "adamcore/math.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/storage/layout.hpp"

namespace adamcore {

/// The maximum number of state arrays that a rule may have for one parameter.
inline constexpr std::size_t max_slots = 8;

/// What is stored for a half-precision weight beside the parameter's own array, or how the weight is rounded to the
/// parameter. Parameters of other dtypes are always plain.
enum class WeightPolicy : std::uint8_t {
    plain,        ///< the parameter alone, rounded to nearest
    master,       ///< `extra[0]`: the weight in float32
    remainder,    ///< only bfloat16; `extra[0]`: 16 more bits, uint16; `extra[1]`: ties, one bit each, in whole bytes
    compensated,  ///< `extra[0]`: what rounding lost, in the parameter's type
    stochastic,   ///< the parameter alone, rounded up or down at random
};

/// Its former name, for programs that use it.
using Weights = WeightPolicy;

/// How half-precision state is rounded when it is stored; see storage/state_rounding.hpp. Other state is not rounded.
enum class StateRounding : std::uint8_t { nearest, stochastic };

/// The number of bits of each extra array for one weight. 0 means that the array does not exist.
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

/// One parameter, and everything that an update of it reads and writes.
///
/// The arrays have `size` elements each and do not overlap. State and extra arrays are dense. So are the parameter and
/// the gradient, unless `layout` says how to walk them. A tensor with a null `grad` or a `size` of 0 is not updated.
/// `state` is in the order of the rule's `slots`. Updates of float64 parameters, whose state is float64, are computed
/// in float64, and all others in float32. Models have thousands of tensors, so the members that most tensors need are
/// in the first two cache lines.
struct alignas(64) Tensor {
    void* param = nullptr;
    const void* grad = nullptr;
    std::int64_t size = 0;
    /// Number of this update for this parameter, counted from 1.
    std::int64_t step = 1;
    /// The index of the group that has the rule and the hyper-parameters.
    std::int32_t group = 0;
    Dtype dtype = Dtype::float32;
    Dtype grad_dtype = Dtype::float32;
    Dtype state_dtype = Dtype::float32;
    WeightPolicy weights = WeightPolicy::plain;
    const Layout* layout = nullptr;
    void* state[max_slots] = {};
    /// The number of the update with which state begins, for rules whose state begins with a gradient (rule::begins).
    /// Until then nothing reads what the state contains.
    std::int64_t first = 1;
    /// For rules of matrices: the length of the last axis and of the last but one, or 0 if there are fewer than two.
    std::int64_t columns = 0, rows = 0;

    void* extra[2] = {};
    /// The factors of unit-wise clipping, one for every `unit_size` elements.
    const Scale* unit_factors = nullptr;
    std::int64_t unit_size = 0;
    /// The number by which stochastic rounding distinguishes tensors. Python derives it from the parameter's name.
    std::uint32_t number = 0;
    StateRounding state_rounding = StateRounding::nearest;

    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    bool has_begun() const { return first <= step; }

    /// Whether gradients are converted to a smaller type when they are read.
    bool narrows_grad() const { return grad_dtype == Dtype::float64 && dtype != Dtype::float64; }
    /// Whether state begins with this update.
    bool begins() const { return step == first; }
    ADAMCORE_FN bool rounds_state_at_random() const {
        const bool is_half = state_dtype == Dtype::float16 || state_dtype == Dtype::bfloat16;
        return is_half && state_rounding == StateRounding::stochastic;
    }
};

static_assert(sizeof(Tensor) == 192 && offsetof(Tensor, state) == 48 && offsetof(Tensor, rows) == 128);

/// Creates a tensor from dense typed arrays, with `state` in the order of the rule's slots.
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

/// How far a tensor has come: the number of its updates, and whether its state has begun (rule::begins).
struct Progress {
    std::int64_t step = 0;
    bool has_begun = false;
};

/// What is done to gradients before a rule uses them, in addition to the group's own factor.
struct Treatment {
    /// Gradients are multiplied by `scale`, by the factor of their tensor if there is one, and by the factor of their
    /// unit.
    Scale scale{};
    const Scale* tensor_factors = nullptr;
    /// Then they are clipped to [-limit, limit].
    double limit = no_limit;
    /// Whether tensors have unit_factors.
    bool by_units = false;
    /// The seed of stochastic rounding.
    std::uint64_t seed = 0;

    static constexpr double no_limit = std::numeric_limits<double>::infinity();

    ADAMCORE_FN bool prepares() const { return by_units || limit < no_limit; }
    Scale scale_of(std::int64_t tensor) const { return tensor_factors ? scale * tensor_factors[tensor] : scale; }
};

}  // namespace adamcore

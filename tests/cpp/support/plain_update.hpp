#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "adamcore/rule/make_info.hpp"
#include "support/rules.hpp"

/// Updates as the contracts of tensor.hpp, storage/formats.hpp and storage/rounding.hpp have them, one element after the
/// other by scalar functions: what every engine equals for every element type, bit for bit.
namespace adamcore::test {

template <class T>
T number_at(const void* data, Dtype dtype, std::int64_t i) {
    return visit(dtype,
                 [&](auto x) { return static_cast<T>(storage::decode(static_cast<const decltype(x)*>(data)[i])); });
}

/// Of double to double alone.
template <class T>
void set_number(void* data, Dtype dtype, std::int64_t i, T number) {
    visit(dtype, [&](auto x) {
        if constexpr ((sizeof(T) == 8) == (sizeof x == 8))
            static_cast<decltype(x)*>(data)[i] = storage::encode<decltype(x)>(number);
    });
}

/// The number in [0, 2^16) that decides how `element` is rounded.
inline std::uint32_t random_of(const rounding::Stream& stream, std::int64_t element) {
    const std::int64_t within = element % rounding::block, per_word = 2 * rounding::row;
    std::uint32_t words[4];
    rounding::random_words(stream, element / rounding::block, static_cast<std::uint32_t>(within % per_word / 2), words);
    const std::uint32_t word = words[within / per_word];
    return within % 2 == 0 ? word & 0xffffu : word >> 16;
}

namespace detail {

inline bool has_tie(const Tensor& t, std::int64_t i) {
    return static_cast<const std::uint8_t*>(t.extra[1])[i / 8] >> (i % 8) & 1;
}

inline void set_tie(const Tensor& t, std::int64_t i, bool is_tie) {
    std::uint8_t& byte = static_cast<std::uint8_t*>(t.extra[1])[i / 8];
    byte = static_cast<std::uint8_t>((byte & ~(1u << (i % 8))) | (is_tie ? 1u : 0u) << (i % 8));
}

template <class Half>
float weight_of(const Tensor& t, std::int64_t i) {
    const float stored = number_at<float>(t.param, t.dtype, i);
    if (t.weights == WeightPolicy::master) {
        const float master = static_cast<const float*>(t.extra[0])[i];
        return storage::current_master(stored, storage::rounded<Half>(master), master);
    }
    if (t.weights == WeightPolicy::compensated) return stored + number_at<float>(t.extra[0], t.dtype, i);
    if (t.weights == WeightPolicy::remainder) {
        const float weight = storage::with_remainder(stored, static_cast<const std::uint16_t*>(t.extra[0])[i]);
        return has_tie(t, i) ? storage::as_tie(weight) : weight;
    }
    return stored;
}

template <class Half>
void keep_weight(const Tensor& t, std::int64_t i, std::uint64_t seed, float weight) {
    if (t.weights == WeightPolicy::master) static_cast<float*>(t.extra[0])[i] = weight;
    if (t.weights == WeightPolicy::compensated) {
        const float lost = storage::finite_or_zero(weight - storage::rounded<Half>(weight));
        set_number(t.extra[0], t.dtype, i, lost);
    }
    if (t.weights == WeightPolicy::remainder) {
        static_cast<std::uint16_t*>(t.extra[0])[i] = storage::remainder_of(weight);
        set_tie(t, i, storage::is_tie_rounded_down(weight));
    }
    if (t.weights == WeightPolicy::stochastic)
        weight = rounding::stochastic<Half>(weight, random_of({seed, static_cast<std::uint64_t>(t.step), t.number}, i));
    set_number(t.param, t.dtype, i, weight);
}

template <class T>
void keep_state(const Tensor& t, std::int64_t i, std::size_t slot, [[maybe_unused]] bool is_square,
                [[maybe_unused]] std::uint64_t seed, T number) {
    visit(t.state_dtype, [&](auto x) {
        if constexpr (sizeof x == 2) {
            std::uint32_t keys[4];
            state::keys_of({seed, static_cast<std::uint64_t>(t.step), t.number}, i, slot / state::quartet_size, keys);
            static_cast<decltype(x)*>(t.state[slot])[i] = state::encode<decltype(x)>(
                static_cast<float>(number), is_square, t.state_rounding == StateRounding::stochastic,
                state::number_of(keys[slot % state::quartet_size], i));
        } else {
            set_number(t.state[slot], t.state_dtype, i, number);
        }
    });
}

/// The gradient, treated, for T.
template <class T>
T gradient_of(const Tensor& t, std::int64_t i, double group_scale, Scale scale, const Treatment& treatment) {
    const T grad = number_at<T>(t.grad, t.grad_dtype, i);
    if (!treatment.prepares()) return scale::multiplier<T>(group_scale * scale)(grad);
    const Scale factor = treatment.by_units ? scale * t.unit_factors[i / t.unit_size] : scale;
    T held = scale::multiplier<T>(factor)(grad);
    if (treatment.limit <= std::numeric_limits<T>::max()) {
        const T limit = static_cast<T>(treatment.limit);
        if (held > limit) held = limit;
        if (held < -limit) held = -limit;
    }
    return held * static_cast<T>(group_scale);
}

template <class Rule, class T, std::size_t... I>
T update_number(const typename Rule::template Step<T>& step, T grad, T weight, T (&state)[max_slots],
                std::index_sequence<I...>) {
    T updated = weight;
    with_seen_gradient(step, grad, weight, [&](auto g) { Rule::template update<T>(step, g, updated, state[I]...); });
    return updated;
}

template <class Rule, class T>
void update_tensor(const HyperValues& hyper, double group_scale, const Tensor& t, Scale scale,
                   const Treatment& treatment) {
    rule::Context context;
    context.t = t.step;
    context.begins = t.begins();
    const auto step = rule::prepare<Rule, T>(adamcore::detail::hyper_of<Rule>(hyper), context);
    constexpr auto slots = std::make_index_sequence<Rule::slots.size()>();
    for (std::int64_t i = 0; i < t.size; ++i) {
        T state[max_slots] = {};
        for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot)
            state[slot] = number_at<T>(t.state[slot], t.state_dtype, i);
        const T grad = gradient_of<T>(t, i, group_scale, scale, treatment);
        if constexpr (sizeof(T) == 4) {
            // Beside a float32 parameter nothing is kept, and either serves.
            const bool is_bfloat16 = t.dtype == Dtype::bfloat16;
            const T old = is_bfloat16 ? weight_of<bfloat16>(t, i) : weight_of<float16>(t, i);
            const T updated = update_number<Rule>(step, grad, old, state, slots);
            is_bfloat16 ? keep_weight<bfloat16>(t, i, treatment.seed, updated)
                        : keep_weight<float16>(t, i, treatment.seed, updated);
        } else {
            const T old = number_at<T>(t.param, t.dtype, i);
            set_number(t.param, t.dtype, i, update_number<Rule>(step, grad, old, state, slots));
        }
        for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot)
            keep_state(t, i, slot, Rule::slots[slot].is_nonnegative(), treatment.seed, state[slot]);
    }
}

using TensorUpdate = void (*)(const HyperValues&, double, const Tensor&, Scale, const Treatment&);

template <class... Rules>
TensorUpdate update_by(std::size_t rule, Dtype dtype, rule::List<Rules...>) {
    TensorUpdate found = nullptr;
    const bool is_wide = dtype == Dtype::float64;
    ((rule == adamcore::detail::index_in<Rules>(rules::All{})
          ? void(found = is_wide ? update_tensor<Rules, double> : update_tensor<Rules, float>)
          : void()),
     ...);
    return found;
}

}  // namespace detail

/// One update of each tensor.
inline void update_plainly(const std::vector<cpu::Group>& groups, const std::vector<Tensor>& tensors,
                           const Treatment& treatment = {}) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const Tensor& tensor = tensors[i];
        const cpu::Group& group = groups[static_cast<std::size_t>(tensor.group)];
        const auto update = detail::update_by(group.rule, tensor.dtype, SimpleRules{});
        const Scale scale = treatment.tensor_factors ? treatment.scale * treatment.tensor_factors[i] : treatment.scale;
        update(group.hyper, group.grad_scale, tensor, scale, treatment);
    }
}

}  // namespace adamcore::test

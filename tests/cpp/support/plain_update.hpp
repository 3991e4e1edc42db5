#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

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
void keep_state(const Tensor& t, std::int64_t i, std::size_t place, const rule::Slot& slot,
                [[maybe_unused]] std::uint64_t seed, T number) {
    const Dtype dtype = slot_dtype(t, slot);
    visit(dtype, [&](auto x) {
        if constexpr (sizeof x == 2) {
            std::uint32_t keys[4];
            state::keys_of({seed, static_cast<std::uint64_t>(t.step), t.number}, i, place / state::quartet_size, keys);
            static_cast<decltype(x)*>(t.state[place])[i] = state::encode<decltype(x)>(
                static_cast<float>(number), slot.is_nonnegative(), t.state_rounding == StateRounding::stochastic,
                state::number_of(keys[place % state::quartet_size], i));
        } else {
            set_number(t.state[place], dtype, i, number);
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

/// The weight that a parameter represents. (Beside a float32 parameter nothing is kept, and either type serves.)
template <class T>
T weight_at(const Tensor& t, std::int64_t i) {
    if constexpr (sizeof(T) == 8) {
        return number_at<T>(t.param, t.dtype, i);
    } else {
        return t.dtype == Dtype::bfloat16 ? weight_of<bfloat16>(t, i) : weight_of<float16>(t, i);
    }
}
template <class T>
void keep_weight_at(const Tensor& t, std::int64_t i, [[maybe_unused]] std::uint64_t seed, T weight) {
    if constexpr (sizeof(T) == 8) {
        set_number(t.param, t.dtype, i, weight);
    } else {
        t.dtype == Dtype::bfloat16 ? keep_weight<bfloat16>(t, i, seed, weight)
                                   : keep_weight<float16>(t, i, seed, weight);
    }
}

/// The place of element `i` in an array of a shape.
inline std::int64_t place_of(const Tensor& t, rule::Shape shape, std::int64_t i) {
    if (shape == rule::Shape::rows) return i / t.columns;
    if (shape == rule::Shape::columns) return i / (t.rows * t.columns) * t.columns + i % t.columns;
    return i;
}

/// An element of a tensor whose temporaries are behind its slots.
struct Element {
    const Tensor& t;
    std::int64_t i;
    double group_scale;
    Scale scale;
    const Treatment& treatment;
};

/// Calls `f(weight, gradient, values)` with what a rule sees of an element, and keeps the state that it `writes`.
template <class Rule, class T, class F>
void with_element(const typename Rule::template Step<T>& step, const Element& e, unsigned writes, F&& f) {
    constexpr std::size_t slots = Rule::slots.size(), temporaries = rule::temporaries<Rule>.size();
    T values[max_slots] = {};
    for (std::size_t k = 0; k < slots + temporaries; ++k) {
        const rule::Slot& slot = k < slots ? Rule::slots[k] : rule::temporaries<Rule>[k - slots];
        if (slot.shape == rule::Shape::number) continue;
        const Dtype dtype = k < slots ? slot_dtype(e.t, slot) : compute_dtype(e.t.dtype);
        values[k] = number_at<T>(e.t.state[k], dtype, place_of(e.t, slot.shape, e.i));
    }
    T weight = weight_at<T>(e.t, e.i);
    const T grad = gradient_of<T>(e.t, e.i, e.group_scale, e.scale, e.treatment);
    with_seen_gradient(step, grad, weight, [&](auto g) { f(g, weight, values); });
    for (std::size_t k = 0; k < slots; ++k) {
        if ((writes >> k & 4) != 0 && Rule::slots[k].shape == rule::Shape::elements)
            keep_state(e.t, e.i, k, Rule::slots[k], e.treatment.seed, values[k]);
    }
    if ((writes & rule::param) != 0) keep_weight_at(e.t, e.i, e.treatment.seed, weight);
}

template <class Rule, class T, std::size_t... I>
void update_element(const void* step, const Element& e, std::index_sequence<I...>) {
    const auto& s = *static_cast<const typename Rule::template Step<T>*>(step);
    with_element<Rule, T>(s, e, rule::update_writes<Rule>,
                          [&](auto g, T& weight, T* values) { Rule::template update<T>(s, g, weight, values[I]...); });
}

template <class Rule, class Pass, class T, std::size_t... I>
void visit_element(const void* step, const Element& e, double* terms, std::index_sequence<I...>) {
    const auto& s = *static_cast<const typename Rule::template Step<T>*>(step);
    with_element<Rule, T>(s, e, Pass::writes, [&](auto g, const T& weight, T* values) {
        const auto found = Pass::visit(s, g, weight, values[I]...);
        std::copy_n(found.of, rule::sum_count<Pass>, terms);
    });
}

/// A rule in one compute type.
struct PlainRule {
    void (*update)(const void* step, const Element& e);
    void (*visit[rule::max_passes])(const void* step, const Element& e, double* terms);
};

template <class Rule, class T, class... Pass>
constexpr PlainRule plain_rule(rule::Passes<Pass...>) {
    return {[](const void* step, const Element& e) { update_element<Rule, T>(step, e, rule::ElementArrays<Rule>{}); },
            {[](const void* step, const Element& e, double* terms) {
                visit_element<Rule, Pass, T>(step, e, terms, rule::ElementArrays<Rule>{});
            }...}};
}

}  // namespace detail

/// A rule for the plain update: its description, and what it does in float and in double.
struct Plain {
    RuleInfo info;
    detail::PlainRule in_float, in_double;

    const detail::PlainRule& of(const Tensor& t) const { return t.dtype == Dtype::float64 ? in_double : in_float; }
};

/// Those of a list of rules.
template <class... Rules>
std::vector<Plain> plain_rules(rule::List<Rules...> list) {
    const auto infos = adamcore::detail::make_rule_infos(list);
    std::vector<Plain> plain;
    (plain.push_back({infos[plain.size()], detail::plain_rule<Rules, float>(rule::passes_of<Rules>{}),
                      detail::plain_rule<Rules, double>(rule::passes_of<Rules>{})}),
     ...);
    return plain;
}

}  // namespace adamcore::test

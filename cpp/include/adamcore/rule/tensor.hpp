#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/rule.hpp"
#include "adamcore/tensor.hpp"

/// Tensors whose state arrays are checked against a rule when they are compiled.
namespace adamcore {

namespace detail {

template <class Rule, class = void>
struct HasSlots : std::false_type {};
template <class Rule>
struct HasSlots<Rule, std::void_t<decltype(Rule::slots.size())>> : std::true_type {};

/// The type of the state that may be stored in half precision: that of the first such array, or the compute type.
template <class Rule, class Compute, std::size_t Slot, class... State>
struct StateType {
    using type = Compute;
};
template <class Rule, class Compute, std::size_t Slot, class First, class... More>
struct StateType<Rule, Compute, Slot, First, More...> {
    using type = typename std::conditional_t<Rule::slots[Slot].is_full, StateType<Rule, Compute, Slot + 1, More...>,
                                             std::common_type<First>>::type;
};

/// Whether each array has the type of its slot.
template <class Rule, class Compute, class Stored, class... State, std::size_t... Slot>
constexpr bool have_slot_types(std::index_sequence<Slot...>) {
    return (std::is_same_v<State, std::conditional_t<Rule::slots[Slot].shape == rule::Shape::number, double,
                                                     std::conditional_t<Rule::slots[Slot].is_full, Compute, Stored>>> &&
            ...);
}

}  // namespace detail

/// Creates a tensor from dense typed arrays, with one array in `state` for each of the rule's slots. Numbers of a tensor
/// are doubles. Other slots are float, or double if the parameter is; those that need not be in full may also be in half
/// precision. Set `rows` and `columns` for rules of matrices.
template <class Rule, class T, class G, class... State>
std::enable_if_t<detail::HasSlots<Rule>::value, Tensor> tensor(T* param, const G* grad, std::int64_t size,
                                                               std::int64_t step, State*... state) {
    constexpr bool has_all = sizeof...(State) == Rule::slots.size();
    static_assert(has_all, "state has one array for each of the rule's slots");
    Tensor t = tensor(param, grad, size, step);
    if constexpr (has_all && sizeof...(State) > 0) {
        using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;
        using Stored = typename detail::StateType<Rule, Compute, 0, State...>::type;
        static_assert(detail::have_slot_types<Rule, Compute, Stored, State...>(std::index_sequence_for<State...>{}),
                      "each state array has the type of its slot");
        static_assert(std::is_same_v<Stored, double> == std::is_same_v<T, double>, "float64 goes with float64");
        t.state_dtype = dtype_of<Stored>;
        void* const arrays[] = {state...};
        for (std::size_t slot = 0; slot < sizeof...(State); ++slot) t.state[slot] = arrays[slot];
    }
    return t;
}

}  // namespace adamcore

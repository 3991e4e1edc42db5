#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "adamcore/rule.hpp"

/// Checks at compile time that a rule fulfils the contract of rule.hpp.
namespace adamcore::rule {

/// The indices of a rule's slots that update() and passes receive: all but numbers of the tensor.
template <class Rule>
struct ElementSlots {
    static constexpr std::size_t size = Rule::slots.size() - count_of(Rule::slots, Shape::number);

    /// The index in Rule::slots of the k-th of them.
    static constexpr std::size_t index(std::size_t k) {
        std::size_t found = 0;
        for (std::size_t i = 0; i < Rule::slots.size(); ++i) {
            if (Rule::slots[i].shape == Shape::number) continue;
            if (found++ == k) return i;
        }
        return Rule::slots.size();
    }
};

namespace detail {

template <class Rule, std::size_t... I, std::size_t... J>
std::index_sequence<ElementSlots<Rule>::index(I)..., Rule::slots.size() + J...> element_arrays(
    std::index_sequence<I...>, std::index_sequence<J...>);

}  // namespace detail

/// The places of the arrays that update() and passes receive, in a list of all slots and then all temporaries.
template <class Rule>
using ElementArrays = decltype(detail::element_arrays<Rule>(std::make_index_sequence<ElementSlots<Rule>::size>{},
                                                            std::make_index_sequence<temporaries<Rule>.size()>{}));

namespace detail {

template <class T, std::size_t>
using ref = T&;

template <class Rule, class T, std::size_t... I>
constexpr bool updates(std::index_sequence<I...>) {
    using Step = typename Rule::template Step<T>;
    return std::is_invocable_v<decltype(&Rule::template update<T, T>), const Step&, T, T&, ref<T, I>...>;
}

template <class Rule, class Pass, class T, std::size_t... I>
constexpr bool visits(std::index_sequence<I...>) {
    using Step = typename Rule::template Step<T>;
    using Found = decltype(Pass::visit(std::declval<const Step&>(), std::declval<T>(), std::declval<const T&>(),
                                       std::declval<ref<T, I>>()...));
    return std::is_same_v<Found, Terms<sum_count<Pass>>>;
}

template <class Rule>
using Elements = std::make_index_sequence<ElementSlots<Rule>::size + temporaries<Rule>.size()>;

template <class Rule, class Pass>
constexpr bool is_pass() {
    static_assert(sum_count<Pass> > 0 && sum_count<Pass> <= max_sums, "a pass has one to four sums");
    static_assert(is_tabular<Pass> != (sums_over<Pass>(Over::tensor) || sums_over<Pass>(Over::all)),
                  "a pass sums over tensors, or over rows and columns, but not over both");
    static_assert((Pass::writes & ~Pass::reads) == 0 && (Pass::writes & (param | grad)) == 0,
                  "a pass writes state that it reads, and leaves parameters to update()");
    static_assert(visits<Rule, Pass, float>(Elements<Rule>{}) && visits<Rule, Pass, double>(Elements<Rule>{}),
                  "visit() takes Step<T>, the gradient, the parameter, and references to each slot and temporary");
    return true;
}

template <class Rule, class... P>
constexpr bool are_passes(Passes<P...>) {
    static_assert(sizeof...(P) <= max_passes);
    return (is_pass<Rule, P>() && ...);
}

template <class Rule, class T>
constexpr bool computes_in() {
    using Step = typename Rule::template Step<T>;
    return std::is_trivially_copyable_v<Step> && std::is_aggregate_v<Step> && updates<Rule, T>(Elements<Rule>{});
}

}  // namespace detail

template <class Rule>
constexpr bool is_rule() {
    using Hyper = typename Rule::Hyper;
    static_assert(std::is_same_v<decltype(Rule::name), const char* const>);
    static_assert(decay_count<Rule> <= max_decays);
    static_assert(sizeof(Hyper) == Rule::fields.size() * sizeof(double),
                  "every hyper-parameter is a double and has a field");
    static_assert(std::is_same_v<Hyper, typename for_vectors<Rule>::Hyper>, "for_vectors has the same Hyper");
    static_assert(detail::computes_in<Rule, float>() && detail::computes_in<Rule, double>(),
                  "Step<T> is an aggregate, and update() takes it, the gradient, and references to the parameter, to "
                  "each slot that is not a number of the tensor, and to each temporary");
    return detail::are_passes<Rule>(passes_of<Rule>{});
}

}  // namespace adamcore::rule

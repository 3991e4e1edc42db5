#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "adamcore/bias.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/rule/pass.hpp"
#include "adamcore/rule/slot.hpp"

/// How statistics read the moments of a rule.
namespace adamcore::rule {

/// The slot of the first moment: the first that has an average of gradients for each element. -1 if there is none.
template <class Rule>
constexpr int first_moment() {
    for (std::size_t i = 0; i < Rule::slots.size(); ++i) {
        if (Rule::slots[i].degree == 1 && Rule::slots[i].shape == Shape::elements) return static_cast<int>(i);
    }
    return -1;
}

/// The slot of the second moment: the last that has an average of their squares for each element, which is AMSGrad's
/// maximum where there is one.
template <class Rule>
constexpr int second_moment() {
    int found = -1;
    for (std::size_t i = 0; i < Rule::slots.size(); ++i) {
        if (Rule::slots[i].degree == 2 && Rule::slots[i].shape == Shape::elements) found = static_cast<int>(i);
    }
    return found;
}

namespace detail {

template <class Rule, class = void>
struct HasSecondMoment : std::false_type {};
template <class Rule>
struct HasSecondMoment<Rule, std::void_t<decltype(Rule::template describe_second<float>(
                                 std::declval<const typename Rule::Hyper&>(), std::declval<const Context&>()))>>
    : std::true_type {};

template <class Hyper, class = void>
struct HasRate : std::false_type {};
template <class Hyper>
struct HasRate<Hyper, std::void_t<decltype(Hyper::lr)>> : std::true_type {};

template <class Hyper, class = void>
struct HasEps : std::false_type {};
template <class Hyper>
struct HasEps<Hyper, std::void_t<decltype(Hyper::eps)>> : std::true_type {};

}  // namespace detail

/// What a rule says of its second moment in describe_second<T>(hyper, context), where updates are computed in T. Without
/// this, the rate is its hyper-parameter lr, eps is that of this name, and its last decay is that of the second moment.
/// The context has the corrections of bias.
template <class Rule, class T>
ADAMCORE_FN SecondMoment describe_second_with([[maybe_unused]] const typename Rule::Hyper& hyper,
                                              [[maybe_unused]] const Context& context) {
    if constexpr (detail::HasSecondMoment<Rule>::value) {
        return Rule::template describe_second<T>(hyper, context);
    } else {
        SecondMoment second;
        if constexpr (detail::HasRate<typename Rule::Hyper>::value) second.rate = hyper.lr;
        if constexpr (detail::HasEps<typename Rule::Hyper>::value) second.eps = hyper.eps;
        if constexpr (decay_count < Rule >> 0) second.correction = context.corrections[decay_count<Rule> - 1];
        return second;
    }
}

/// The same where the powers of decays are not known.
template <class Rule, class T>
SecondMoment describe_second(const typename Rule::Hyper& hyper, Context context) {
    double corrections[max_decays] = {};
    for (int k = 0; k < decay_count<Rule>; ++k) corrections[k] = bias::correction(decay_of<Rule>(hyper, k), context.t);
    context.corrections = corrections;
    return describe_second_with<Rule, T>(hyper, context);
}

}  // namespace adamcore::rule

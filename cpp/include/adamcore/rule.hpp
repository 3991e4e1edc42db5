#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "adamcore/bias.hpp"
#include "adamcore/math.hpp"
#include "adamcore/rule/field.hpp"
#include "adamcore/rule/pass.hpp"
#include "adamcore/rule/slot.hpp"

/// What an update rule is.
///
/// A rule is a struct without data:
///
///     struct MyRule {
///         static constexpr auto name = "my_rule";
///         static constexpr auto slots = rule::slots("buffer", rule::square("square"));  // in update() order
///         struct Hyper { double lr = 1e-3; };                         // doubles only
///         static constexpr auto fields = rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr));
///
///         template <class T> struct Step { T lr; double l2; };
///         template <class T> static Step<T> prepare(const Hyper& h, std::int64_t t);
///         template <class T, class G>
///         ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& buffer, T& square);
///
///         static double initial(const Hyper& h, std::size_t slot);   // optional: state's first value, else 0
///     };
///
/// `prepare` runs once per step, in double, for update number t (starting at 1), and computes everything that does not
/// depend on the element. `update` runs once per element, on any device: + - * /, math::sqrt and math::select in the
/// compute type T (float or double), without branches, intrinsics, dtypes or devices. Expressions are plain: with
/// contraction off they give the same bits on every processor. It receives one reference for each slot that is not a
/// number of the tensor, and then one for each temporary (rule/pass.hpp).
///
/// A rule that needs to know more has prepare(h, const rule::Context&) instead: the number of the update, whether state
/// begins with it, corrections of bias, the size of the tensor, and numbers of the tensor and the optimizer. It may
/// change the tensor's numbers, since it runs once per tensor and step where there are any.
///
/// A rule that corrects the bias of running averages lists the hyper-parameters by which they decay, `decays =
/// rule::decays(&Hyper::beta1, ...)`, and its prepare(h, t, corrections) or its Context receives 1 - decay^t for each of
/// them, in an array of that many doubles. Powers take long, and an engine may know them from the previous step.
///
/// A rule whose state begins with the first gradient that it sees, and not with a number, declares `static constexpr
/// bool begins = true`, and its prepare(h, t, begins) or its Context says whether this is the update. Which update that
/// is need not be the tensor's first: a rule may take the place of one that has no such state.
///
/// Statistics read the moments that slots describe. A rule whose steps are not about lr / (sqrt(v / c) + eps) times an
/// average of gradients, where c is the correction of its last decay, says so: `template <class T>
/// static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context)`.
///
/// A rule whose weight decay is an L2 term declares this with a member `double l2` of its Step. Engines add l2 * p to
/// the gradient before they call update() or a pass. This sum of a large and a small number is kept in double, the type
/// G, so that averages of it are rounded only once. Without decay G is T.
///
/// A rule that keeps numbers for the whole optimizer names them, `numbers = rule::named_numbers("d", ...)`, and has
/// `static double first_number(const Hyper& h, std::size_t index)`. All groups share the hyper-parameters that it lists
/// as `static constexpr auto common = rule::members(&Hyper::..., ...)`, and those in `common_or_zero` too, unless a group
/// sets them to 0. `static bool takes_part(const Hyper& h)` says whether a group's gradients are part of the sums over all
/// tensors.
///
/// A rule for matrices may name another for tensors with fewer than two axes: `using for_vectors = Other`, with the same
/// Hyper.
namespace adamcore::rule {

/// Whether a rule's state begins with a gradient.
template <class Rule, class = void>
struct Begins : std::false_type {};
template <class Rule>
struct Begins<Rule, std::void_t<decltype(Rule::begins)>> : std::bool_constant<Rule::begins> {};
template <class Rule>
inline constexpr bool begins = Begins<Rule>::value;

template <class... Rules>
struct List {
    static constexpr std::size_t size = sizeof...(Rules);
};

/// Whether a Step has a member `l2`.
template <class Step, class = void>
struct has_l2 : std::false_type {};
template <class Step>
struct has_l2<Step, std::void_t<decltype(Step::l2)>> : std::true_type {};

namespace detail {

template <class Rule, class = void>
struct has_initial : std::false_type {};
template <class Rule>
struct has_initial<Rule, std::void_t<decltype(&Rule::initial)>> : std::true_type {};

}  // namespace detail

template <class Rule, class = void>
struct DecayCount : std::integral_constant<int, 0> {};
template <class Rule>
struct DecayCount<Rule, std::void_t<decltype(Rule::decays)>>
    : std::integral_constant<int, static_cast<int>(Rule::decays.size())> {};

/// The number of decays of a rule, and the most that a rule may have.
template <class Rule>
inline constexpr int decay_count = DecayCount<Rule>::value;
inline constexpr int max_decays = 3;

namespace detail {

template <auto Member, class Hyper>
ADAMCORE_FN double member_of(const Hyper& hyper) {
    return hyper.*Member;
}

template <class Rule, std::size_t... I>
ADAMCORE_FN double decay_of(const typename Rule::Hyper& hyper, int place, std::index_sequence<I...>) {
    double decay = 0;
    ((static_cast<int>(I) == place ? void(decay = member_of<Rule::decays[I]>(hyper)) : void()), ...);
    return decay;
}

}  // namespace detail

/// A decay of a rule by its index. (Each member is a separate constant, because devices cannot read constexpr arrays.)
template <class Rule>
ADAMCORE_FN double decay_of([[maybe_unused]] const typename Rule::Hyper& hyper, [[maybe_unused]] int place) {
    return detail::decay_of<Rule>(hyper, place, std::make_index_sequence<decay_count<Rule>>{});
}

namespace detail {

template <class Rule, class T, class = void>
struct TakesContext : std::false_type {};
template <class Rule, class T>
struct TakesContext<Rule, T,
                    std::void_t<decltype(Rule::template prepare<T>(std::declval<const typename Rule::Hyper&>(),
                                                                   std::declval<const Context&>()))>> : std::true_type {
};

}  // namespace detail

/// Rule::prepare(), with `context.corrections` if the rule has decays.
template <class Rule, class T>
ADAMCORE_FN typename Rule::template Step<T> prepare_with(const typename Rule::Hyper& hyper, const Context& context) {
    if constexpr (detail::TakesContext<Rule, T>::value) {
        return Rule::template prepare<T>(hyper, context);
    } else if constexpr (decay_count<Rule> != 0) {
        double corrections[decay_count<Rule>];
        for (int k = 0; k < decay_count<Rule>; ++k) corrections[k] = context.corrections[k];
        return Rule::template prepare<T>(hyper, context.t, corrections);
    } else if constexpr (begins<Rule>) {
        return Rule::template prepare<T>(hyper, context.t, context.begins);
    } else {
        return Rule::template prepare<T>(hyper, context.t);
    }
}

/// The same where the powers of decays are not known.
template <class Rule, class T>
ADAMCORE_FN typename Rule::template Step<T> prepare(const typename Rule::Hyper& hyper, Context context) {
    if constexpr (decay_count<Rule> != 0) {
        double corrections[decay_count<Rule>];
        for (int k = 0; k < decay_count<Rule>; ++k)
            corrections[k] = bias::correction(decay_of<Rule>(hyper, k), context.t);
        context.corrections = corrections;
        return prepare_with<Rule, T>(hyper, context);
    } else {
        return prepare_with<Rule, T>(hyper, context);
    }
}

/// The initial value of a state slot of a rule.
template <class Rule>
double initial([[maybe_unused]] const typename Rule::Hyper& hyper, [[maybe_unused]] std::size_t slot) {
    if constexpr (detail::has_initial<Rule>::value) {
        return Rule::initial(hyper, slot);
    } else {
        return 0.0;
    }
}

}  // namespace adamcore::rule

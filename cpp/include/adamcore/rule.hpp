#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "adamcore/math.hpp"

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
/// `prepare` runs once per step on the host, in double, for update number t (starting at 1), and computes everything
/// that does not depend on the element. `update` runs once per element, on any device: + - * /, math::sqrt and
/// math::select in the compute type T (float or double), without branches, intrinsics, dtypes or devices. Expressions
/// are plain: with contraction off they give the same bits on every processor.
///
/// A rule that corrects the bias of running averages lists the hyper-parameters by which they decay, `decays =
/// rule::decays(&Hyper::beta1, ...)`, and has a second function prepare(h, t, corrections). It receives 1 - decay^t for
/// each of them, in an array of that many doubles. Powers take long, and an engine may know them from the previous
/// step.
///
/// A rule whose state begins with the first gradient that it sees, and not with a number, declares `static constexpr
/// bool begins = true` and has a second function prepare(h, t, begins). Which update that is need not be the tensor's
/// first: a rule may take the place of one that has no such state.
///
/// A rule whose weight decay is an L2 term declares this with a member `double l2` of its Step. Engines add l2 * p to
/// the gradient before they call update(). This sum of a large and a small number is kept in double, the type G, so
/// that averages of it are rounded only once. Without decay G is T.
namespace adamcore::rule {

/// The values that a hyper-parameter may have. NaN and infinities are never allowed.
enum class Range : std::uint8_t { finite, nonnegative, fraction, below_one };

constexpr bool contains(Range range, double x) {
    constexpr double largest = 1.7976931348623157e308;
    if (!(x >= -largest && x <= largest)) return false;
    if (range == Range::finite) return true;
    if (!(x >= 0)) return false;
    return range == Range::nonnegative || x < 1 || (range == Range::fraction && x == 1);
}

constexpr const char* describe(Range range) {
    switch (range) {
        case Range::nonnegative: return "a finite number >= 0";
        case Range::fraction: return "a number in [0, 1]";
        case Range::below_one: return "a number in [0, 1)";
        case Range::finite: break;
    }
    return "a finite number";
}

/// A hyper-parameter: the name that users see, the member that stores it, and its range.
template <class Hyper>
struct Field {
    const char* name;
    double Hyper::*member;
    Range range;
};

template <class Hyper>
constexpr Field<Hyper> finite(const char* name, double Hyper::*member) {
    return {name, member, Range::finite};
}
template <class Hyper>
constexpr Field<Hyper> nonnegative(const char* name, double Hyper::*member) {
    return {name, member, Range::nonnegative};
}
/// In [0, 1].
template <class Hyper>
constexpr Field<Hyper> fraction(const char* name, double Hyper::*member) {
    return {name, member, Range::fraction};
}
/// In [0, 1).
template <class Hyper>
constexpr Field<Hyper> below_one(const char* name, double Hyper::*member) {
    return {name, member, Range::below_one};
}

template <class Hyper, class... F>
constexpr std::array<Field<Hyper>, sizeof...(F)> fields(F... field) {
    return {field...};
}

/// A state array: the name that users see, and whether it contains sums or averages of squares. Those are never
/// negative. If storage rounded them to zero, a step would divide by eps alone.
struct Slot {
    const char* name;
    bool nonnegative = false;

    constexpr Slot(const char* slot_name, bool is_nonnegative = false)  // a name alone is enough
        : name(slot_name), nonnegative(is_nonnegative) {}
};

constexpr Slot square(const char* name) { return {name, true}; }

template <class... S>
constexpr std::array<Slot, sizeof...(S)> slots(S... slot) {
    return {Slot(slot)...};
}

/// One bit for each of a rule's slots, the lowest for the first: whether the slot is nonnegative.
template <class Rule>
constexpr unsigned nonnegative_slots() {
    unsigned bits = 0;
    for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot)
        bits |= Rule::slots[slot].nonnegative ? 1u << slot : 0u;
    return bits;
}

/// Whether a rule's state begins with a gradient.
template <class Rule, class = void>
struct Begins : std::false_type {};
template <class Rule>
struct Begins<Rule, std::void_t<decltype(Rule::begins)>> : std::bool_constant<Rule::begins> {};
template <class Rule>
inline constexpr bool begins = Begins<Rule>::value;

/// Rule::prepare() for update number `t`. `is_first` says whether state begins with it.
template <class Rule, class T>
ADAMCORE_FN typename Rule::template Step<T> prepare(const typename Rule::Hyper& hyper, std::int64_t t,
                                                    [[maybe_unused]] bool is_first) {
    if constexpr (begins<Rule>) {
        return Rule::template prepare<T>(hyper, t, is_first);
    } else {
        return Rule::template prepare<T>(hyper, t);
    }
}

template <class Hyper, class... Decay>
constexpr std::array<double Hyper::*, 1 + sizeof...(Decay)> decays(double Hyper::*first, Decay... others) {
    return {first, others...};
}

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

template <class T, std::size_t>
using ref = T&;

template <class Rule, class T, std::size_t... I>
constexpr bool updates(std::index_sequence<I...>) {
    using Step = typename Rule::template Step<T>;
    return std::is_invocable_v<decltype(&Rule::template update<T, T>), const Step&, T, T&, ref<T, I>...>;
}

template <class Rule, class T>
constexpr bool computes_in() {
    using Step = typename Rule::template Step<T>;
    return std::is_trivially_copyable_v<Step> && std::is_aggregate_v<Step> &&
           updates<Rule, T>(std::make_index_sequence<Rule::slots.size()>{});
}

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
inline constexpr int max_decays = 2;

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

/// Checks at compile time that a rule fulfils the contract above.
template <class Rule>
constexpr bool is_rule() {
    using Hyper = typename Rule::Hyper;
    static_assert(std::is_same_v<decltype(Rule::name), const char* const>);
    static_assert(decay_count<Rule> <= max_decays);
    static_assert(sizeof(Hyper) == Rule::fields.size() * sizeof(double),
                  "every hyper-parameter is a double and has a field");
    static_assert(detail::computes_in<Rule, float>() && detail::computes_in<Rule, double>(),
                  "Step<T> is an aggregate, and update() takes it, the gradient, and references to the "
                  "parameter and to each slot");
    return true;
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

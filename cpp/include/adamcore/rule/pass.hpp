#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "adamcore/math.hpp"
#include "adamcore/rule/slot.hpp"

/// Passes over all elements before the update, whose sums the update needs.
///
/// A rule lists them, `using passes = rule::Passes<Moments, ...>`, in their order. A pass is a struct without data:
///
///     struct Moments {
///         static constexpr auto sums = rule::sums(rule::Over::tensor, rule::Over::tensor);  // of what the terms are summed
///         static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0), writes = rule::slot(0);
///
///         template <class T, class G>
///         ADAMCORE_FN static rule::Terms<2> visit(const Step<T>& s, G g, const T& p, T& buffer);
///         template <class T>
///         ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
///                                          Step<T>& s);
///     };
///
/// `visit` runs once per element, like update(): it may change the state that it `writes`, and returns the terms of the
/// sums in double. `conclude` runs once per tensor, in double, after the sums are known, and completes the constants.
/// A pass sums either over tensors (and all tensors) or over rows and columns. Shapes of sums depend on shapes of
/// tensors alone; see sums.hpp.
///
/// A pass with sums over all tensors (Over::all) also has
///
///         static bool decide(const Hyper& h, const double* totals, double* shared);
///
/// which runs once, with the hyper-parameters of the first group that takes part, and changes the optimizer's numbers,
/// Rule::numbers. If it returns false, the step ends there: parameters stay as they are. conclude() follows.
///
/// A pass over rows and columns has, instead of conclude(), for each row and each column
///
///         template <class T>
///         static double row(const Step<T>& s, const rule::Context& context, const double* totals, T* row);
///         template <class T>
///         static void spread(const Step<T>& s, const rule::Context& context, double total, T* row);
///         template <class T>
///         static void column(const Step<T>& s, const rule::Context& context, const double* totals, T* column);
///
/// `row` and `column` point to copies of the slots of that shape, and then of the temporaries of that shape. row()
/// returns a number whose `total` over the rows of a matrix spread() receives. `sums` are those of rows, or of columns,
/// in the order of `sums`.
namespace adamcore::rule {

/// Of what a term is summed.
enum class Over : std::uint8_t { tensor, all, rows, columns };

template <class... O>
constexpr std::array<Over, sizeof...(O)> sums(O... over) {
    return {over...};
}

/// The maximum number of sums of a pass, and of passes of a rule.
inline constexpr std::size_t max_sums = 4, max_passes = 3;

/// What an element adds to each sum.
template <std::size_t N>
struct Terms {
    double of[N];
};
template <class... X>
ADAMCORE_FN Terms<sizeof...(X)> terms(X... x) {
    return {{static_cast<double>(x)...}};
}

/// Arrays that a pass, or an update, reads or writes. Slots are counted in the order of Rule::slots, and temporaries
/// behind them.
inline constexpr unsigned param = 1, grad = 2;
ADAMCORE_FN constexpr unsigned slot(std::size_t index) { return 4u << index; }

template <class... P>
struct Passes {
    static constexpr std::size_t size = sizeof...(P);
};

/// What is known of a tensor and its update when constants are computed.
struct Context {
    std::int64_t t = 1;                   ///< the number of this update of the tensor, from 1
    bool begins = false;                  ///< whether state begins with this update
    const double* corrections = nullptr;  ///< 1 - decay^t for each of Rule::decays
    double* numbers = nullptr;            ///< the tensor's slots of Shape::number, in their order
    double* shared = nullptr;             ///< the optimizer's numbers, Rule::numbers
    std::int64_t size = 0;                ///< elements of the tensor
    std::int64_t rows = 0, columns = 0;   ///< of each of its matrices; 0 if it has fewer than two axes
};

/// What statistics know of a rule's second moment v: a step moves weights by about rate / (sqrt(v / correction) + eps)
/// times an average of gradients.
struct SecondMoment {
    double rate = 1, correction = 1, eps = 0;
};

template <class Pass>
inline constexpr std::size_t sum_count = Pass::sums.size();

template <class Pass>
constexpr bool sums_over(Over over) {
    for (const Over each : Pass::sums) {
        if (each == over) return true;
    }
    return false;
}

/// Whether a pass sums over rows and columns, and not over tensors.
template <class Pass>
inline constexpr bool is_tabular = sums_over<Pass>(Over::rows) || sums_over<Pass>(Over::columns);

namespace detail {

template <class Rule, class = void>
struct PassesOf {
    using type = Passes<>;
};
template <class Rule>
struct PassesOf<Rule, std::void_t<typename Rule::passes>> {
    using type = typename Rule::passes;
};

template <class Rule, class = void>
struct Temporaries {
    static constexpr std::array<Slot, 0> slots{};
};
template <class Rule>
struct Temporaries<Rule, std::void_t<decltype(Rule::temporaries)>> {
    static constexpr auto slots = Rule::temporaries;
};

template <class Rule, class = void>
struct Numbers {
    static constexpr std::array<const char*, 0> names{};
};
template <class Rule>
struct Numbers<Rule, std::void_t<decltype(Rule::numbers)>> {
    static constexpr auto names = Rule::numbers;
};

template <class Rule, class = void>
struct ForVectors {
    using type = Rule;
};
template <class Rule>
struct ForVectors<Rule, std::void_t<typename Rule::for_vectors>> {
    using type = typename Rule::for_vectors;
};

template <class Rule, class = void>
struct Access {
    static constexpr bool is_said = false;
    static constexpr unsigned all = (4u << (Rule::slots.size() + Temporaries<Rule>::slots.size())) - 1;
    static constexpr unsigned reads = all, writes = all & ~grad;
};
template <class Rule>
struct Access<Rule, std::void_t<decltype(Rule::reads)>> {
    static constexpr bool is_said = true;
    static constexpr unsigned reads = Rule::reads, writes = Rule::writes;
};

}  // namespace detail

template <class Rule>
using passes_of = typename detail::PassesOf<Rule>::type;
template <class Rule>
inline constexpr std::size_t pass_count = passes_of<Rule>::size;

/// Arrays of the shapes rows and columns that exist only during a step; update() receives them behind the slots.
template <class Rule>
inline constexpr auto temporaries = detail::Temporaries<Rule>::slots;

/// The names of the numbers that a rule keeps for the whole optimizer.
template <class Rule>
inline constexpr auto numbers = detail::Numbers<Rule>::names;

/// The rule for tensors with fewer than two axes: the rule itself, or what it names as `for_vectors`, which has the same
/// Hyper.
template <class Rule>
using for_vectors = typename detail::ForVectors<Rule>::type;

/// What update() reads and writes: everything, unless the rule says so.
template <class Rule>
inline constexpr unsigned update_reads = detail::Access<Rule>::reads;
template <class Rule>
inline constexpr unsigned update_writes = detail::Access<Rule>::writes;
template <class Rule>
inline constexpr bool says_access = detail::Access<Rule>::is_said;

/// Whether the constants of a step differ from tensor to tensor.
template <class Rule>
inline constexpr bool has_own_constants = pass_count<Rule> > 0 || numbers<Rule>.size() > 0 ||
                                          count_of(Rule::slots, Shape::number) > 0;

template <class... N>
constexpr std::array<const char*, sizeof...(N)> named_numbers(N... name) {
    return {name...};
}

}  // namespace adamcore::rule

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "adamcore/bias.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/rule/check.hpp"
#include "adamcore/rule/second_moment.hpp"
#include "adamcore/rule_info.hpp"

/// Makes the descriptions of rules that programs use at run time.
namespace adamcore {

namespace detail {

template <auto Member, class Hyper>
ADAMCORE_FN void set_member(Hyper& hyper, double value) {
    hyper.*Member = value;
}

/// (Each member is a separate constant, because devices cannot read constexpr arrays.)
template <class Rule, std::size_t... I>
ADAMCORE_FN typename Rule::Hyper hyper_of(const HyperValues& values, std::index_sequence<I...>) {
    typename Rule::Hyper hyper;
    (set_member<Rule::fields[I].member>(hyper, values[I]), ...);
    return hyper;
}

template <class Rule>
ADAMCORE_FN typename Rule::Hyper hyper_of(const HyperValues& values) {
    return hyper_of<Rule>(values, std::make_index_sequence<Rule::fields.size()>{});
}

/// Corrections of bias come from `known` if it is not null.
template <class Rule, class T>
ADAMCORE_FN void prepare_in(const HyperValues& values, rule::Context context, [[maybe_unused]] bias::Powers* known,
                            void* step) {
    using Step = typename Rule::template Step<T>;
    const auto hyper = hyper_of<Rule>(values);
    if constexpr (rule::decay_count<Rule> != 0) {
        if (known) {
            double corrections[rule::decay_count<Rule>];
            for (int k = 0; k < rule::decay_count<Rule>; ++k)
                corrections[k] = bias::correction(known[k], rule::decay_of<Rule>(hyper, k), context.t);
            context.corrections = corrections;
            new (step) Step(rule::prepare_with<Rule, T>(hyper, context));
            return;
        }
    }
    new (step) Step(rule::prepare<Rule, T>(hyper, context));
}

template <class Rule>
void prepare_next_into(const HyperValues& values, const rule::Context& context, Dtype dtype, bias::Powers* known,
                       void* step) noexcept {
    dtype == Dtype::float64 ? prepare_in<Rule, double>(values, context, known, step)
                            : prepare_in<Rule, float>(values, context, known, step);
}

template <class Rule>
void prepare_into(const HyperValues& values, const rule::Context& context, Dtype dtype, void* step) noexcept {
    prepare_next_into<Rule>(values, context, dtype, nullptr, step);
}

template <class Rule>
double initial_of(const HyperValues& values, std::size_t slot) noexcept {
    return rule::initial<Rule>(hyper_of<Rule>(values), slot);
}

template <class Rule>
rule::SecondMoment describe_second_of(const HyperValues& values, Dtype dtype, const rule::Context& context) noexcept {
    return visit_compute(
        dtype, [&](auto x) { return rule::describe_second<Rule, decltype(x)>(hyper_of<Rule>(values), context); });
}

template <class Rule>
double first_number_of([[maybe_unused]] const HyperValues& values, [[maybe_unused]] std::size_t index) noexcept {
    if constexpr (rule::numbers<Rule>.size() > 0) return Rule::first_number(hyper_of<Rule>(values), index);
    return 0;
}

template <class Rule>
bool takes_part_of([[maybe_unused]] const HyperValues& values) noexcept {
    if constexpr (rule::numbers<Rule>.size() > 0) return Rule::takes_part(hyper_of<Rule>(values));
    return true;
}

/// A bit for each field of a rule that stands for one of the members.
template <class Rule, class Members>
constexpr unsigned fields_among(const Members& members) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < Rule::fields.size(); ++i) {
        for (const auto member : members) bits |= Rule::fields[i].member == member ? 1u << i : 0u;
    }
    return bits;
}

template <class Rule, class Pass>
void conclude_as(const HyperValues& hyper, Dtype dtype, const rule::Context& context, const double* sums,
                 void* step) noexcept {
    visit_compute(dtype, [&](auto x) {
        using Step = typename Rule::template Step<decltype(x)>;
        Pass::conclude(hyper_of<Rule>(hyper), context, sums, *static_cast<Step*>(step));
    });
}

template <class Rule, class Pass>
bool decide_as(const HyperValues& hyper, const double* sums, double* numbers) noexcept {
    return Pass::decide(hyper_of<Rule>(hyper), sums, numbers);
}

/// Calls `f(step, line)`, where `line` has the elements of all arrays at `at`, which f may change.
template <class Rule, std::size_t Count, class F>
void with_line(Dtype dtype, const void* step, void* const* arrays, std::int64_t at, F&& f) {
    visit_compute(dtype, [&](auto x) {
        using T = decltype(x);
        T line[Count + 1];
        for (std::size_t k = 0; k < Count; ++k) line[k] = static_cast<const T*>(arrays[k])[at];
        f(*static_cast<const typename Rule::template Step<T>*>(step), line);
        for (std::size_t k = 0; k < Count; ++k) static_cast<T*>(arrays[k])[at] = line[k];
    });
}

/// The number of a rule's slots and temporaries of a shape.
template <class Rule>
inline constexpr std::size_t row_arrays =
    rule::count_of(Rule::slots, rule::Shape::rows) + rule::count_of(rule::temporaries<Rule>, rule::Shape::rows);
template <class Rule>
inline constexpr std::size_t column_arrays =
    rule::count_of(Rule::slots, rule::Shape::columns) + rule::count_of(rule::temporaries<Rule>, rule::Shape::columns);

template <class Rule, class Pass>
double row_as(Dtype dtype, const void* step, const rule::Context& context, const double* sums, void* const* arrays,
              std::int64_t at) noexcept {
    double term = 0;
    with_line<Rule, row_arrays<Rule>>(dtype, step, arrays, at,
                                      [&](const auto& s, auto* line) { term = Pass::row(s, context, sums, line); });
    return term;
}

template <class Rule, class Pass>
void spread_as(Dtype dtype, const void* step, const rule::Context& context, double total, void* const* arrays,
               std::int64_t at) noexcept {
    with_line<Rule, row_arrays<Rule>>(dtype, step, arrays, at,
                                      [&](const auto& s, auto* line) { Pass::spread(s, context, total, line); });
}

template <class Rule, class Pass>
void column_as(Dtype dtype, const void* step, const rule::Context& context, const double* sums, void* const* arrays,
               std::int64_t at) noexcept {
    with_line<Rule, column_arrays<Rule>>(dtype, step, arrays, at,
                                         [&](const auto& s, auto* line) { Pass::column(s, context, sums, line); });
}

template <class Rule, class Pass>
constexpr PassInfo make_pass_info() {
    PassInfo info{rule::sum_count<Pass>,
                  {},
                  Pass::reads,
                  Pass::writes,
                  rule::is_tabular<Pass>,
                  nullptr,
                  nullptr,
                  nullptr,
                  nullptr,
                  nullptr};
    for (std::size_t k = 0; k < rule::sum_count<Pass>; ++k) info.sums[k] = Pass::sums[k];
    if constexpr (rule::is_tabular<Pass>) {
        if constexpr (rule::sums_over<Pass>(rule::Over::rows)) {
            info.row = row_as<Rule, Pass>;
            info.spread = spread_as<Rule, Pass>;
        }
        if constexpr (rule::sums_over<Pass>(rule::Over::columns)) info.column = column_as<Rule, Pass>;
    } else {
        info.conclude = conclude_as<Rule, Pass>;
    }
    if constexpr (rule::sums_over<Pass>(rule::Over::all)) info.decide = decide_as<Rule, Pass>;
    return info;
}

template <class Rule, class... P>
constexpr std::array<PassInfo, rule::max_passes> make_pass_infos(rule::Passes<P...>) {
    return {make_pass_info<Rule, P>()...};
}

template <class Rule>
RuleInfo make_rule_info() {
    static_assert(rule::is_rule<Rule>());
    static_assert(Rule::slots.size() <= max_slots && Rule::fields.size() <= max_fields);
    static_assert(rule::numbers<Rule>.size() <= max_numbers &&
                  rule::count_of(Rule::slots, rule::Shape::number) <= max_numbers);
    const typename Rule::Hyper presets;
    RuleInfo info{};
    info.name = Rule::name;
    info.slots = Rule::slots.data();
    info.slot_count = Rule::slots.size();
    info.temporaries = rule::temporaries<Rule>.data();
    info.temporary_count = rule::temporaries<Rule>.size();
    info.field_count = Rule::fields.size();
    info.passes = make_pass_infos<Rule>(rule::passes_of<Rule>{});
    info.pass_count = rule::pass_count<Rule>;
    info.numbers = rule::numbers<Rule>.data();
    info.number_count = rule::numbers<Rule>.size();
    if constexpr (rule::numbers<Rule>.size() > 0) {
        info.common_fields = fields_among<Rule>(Rule::common);
        info.common_or_zero_fields = fields_among<Rule>(Rule::common_or_zero);
    }
    info.begins = rule::begins<Rule>;
    info.has_own_constants = rule::has_own_constants<Rule>;
    info.prepare = prepare_into<Rule>;
    info.prepare_next = prepare_next_into<Rule>;
    info.initial = initial_of<Rule>;
    info.first_number = first_number_of<Rule>;
    info.first_moment = rule::first_moment<Rule>();
    info.second_moment = rule::second_moment<Rule>();
    info.describe_second = describe_second_of<Rule>;
    info.takes_part = takes_part_of<Rule>;
    for (std::size_t i = 0; i < Rule::fields.size(); ++i) {
        const auto& field = Rule::fields[i];
        info.fields[i] = {field.name,        field.range, presets.*field.member, field.kind,
                          field.may_be_none, field.tuple, field.place,           field.words};
    }
    return info;
}

/// The index of a rule in a list of rules.
template <class Rule, class... Rules>
constexpr std::size_t index_in(rule::List<Rules...>) {
    std::size_t index = 0;
    bool found = false;
    ((found = found || std::is_same_v<Rule, Rules>, index += found ? 0 : 1), ...);
    return index;
}

template <class... Rules>
std::array<RuleInfo, sizeof...(Rules)> make_rule_infos(rule::List<Rules...> list) {
    static_assert(((index_in<rule::for_vectors<Rules>>(list) < sizeof...(Rules)) && ...),
                  "the list also has the rules that its rules name for vectors");
    std::array<RuleInfo, sizeof...(Rules)> infos{make_rule_info<Rules>()...};
    const std::size_t vectors[] = {index_in<rule::for_vectors<Rules>>(list)...};
    for (std::size_t i = 0; i < infos.size(); ++i) infos[i].for_vectors = vectors[i];
    return infos;
}

}  // namespace detail

}  // namespace adamcore

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

#include "adamcore/bias.hpp"
#include "adamcore/dtype.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// The maximum number of hyper-parameters of a rule.
inline constexpr std::size_t max_fields = 16;

/// A rule's hyper-parameters without its type: the values, in the order of `fields`.
using HyperValues = std::array<double, max_fields>;

/// Storage for any rule's Step<T>.
struct alignas(double) StepStorage {
    std::byte bytes[192];
};

struct FieldInfo {
    const char* name;
    rule::Range range;
    double preset;
};

/// What the elements of a state slot are at first, and whether they can never be negative.
struct Initial {
    double value;
    bool nonnegative;
};

/// The description of a rule at run time, for programs that choose rules by name.
struct RuleInfo {
    std::string_view name;
    const rule::Slot* slots;
    std::size_t slot_count;
    std::array<FieldInfo, max_fields> fields;
    std::size_t field_count;

    /// Whether state begins with a gradient (rule::begins).
    bool begins;

    /// Writes the Step<T> for update `t`, where T is the compute type of `dtype`. `is_first` says whether state begins
    /// with it.
    void (*prepare)(const HyperValues& hyper, std::int64_t t, bool is_first, Dtype dtype, StepStorage& out) noexcept;
    /// The initial value of state slot `slot`.
    double (*initial)(const HyperValues& hyper, std::size_t slot) noexcept;
    /// The same bits as prepare() writes, but faster if `known`, which has rule::max_decays elements, is from the step
    /// before.
    void (*prepare_next)(const HyperValues& hyper, std::int64_t t, bool is_first, Dtype dtype, bias::Powers* known,
                         StepStorage& out) noexcept;
};

/// A rule that was chosen at run time, and the values that all tensors of a group share.
struct Group {
    std::size_t rule = 0;  ///< index into all_rules()
    HyperValues hyper{};
    double grad_scale = 1.0;
};

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
ADAMCORE_FN void prepare_in(const HyperValues& values, std::int64_t t, bool is_first,
                            [[maybe_unused]] bias::Powers* known, StepStorage& out) {
    using Step = typename Rule::template Step<T>;
    static_assert(sizeof(Step) <= sizeof(StepStorage) && alignof(Step) <= alignof(StepStorage));
    const auto hyper = hyper_of<Rule>(values);
    if constexpr (rule::decay_count < Rule >> 0) {
        if (known) {
            double corrections[rule::decay_count<Rule>];
            for (int k = 0; k < rule::decay_count<Rule>; ++k)
                corrections[k] = bias::correction(known[k], rule::decay_of<Rule>(hyper, k), t);
            new (out.bytes) Step(Rule::template prepare<T>(hyper, t, corrections));
            return;
        }
    }
    new (out.bytes) Step(rule::prepare<Rule, T>(hyper, t, is_first));
}

template <class Rule>
ADAMCORE_FN void prepare_as(const HyperValues& values, std::int64_t t, bool is_first, Dtype dtype, bias::Powers* known,
                            StepStorage& out) {
    dtype == Dtype::float64 ? prepare_in<Rule, double>(values, t, is_first, known, out)
                            : prepare_in<Rule, float>(values, t, is_first, known, out);
}

template <class Rule>
void prepare_into(const HyperValues& values, std::int64_t t, bool is_first, Dtype dtype, StepStorage& out) noexcept {
    prepare_as<Rule>(values, t, is_first, dtype, nullptr, out);
}

template <class Rule>
void prepare_next_into(const HyperValues& values, std::int64_t t, bool is_first, Dtype dtype, bias::Powers* known,
                       StepStorage& out) noexcept {
    prepare_as<Rule>(values, t, is_first, dtype, known, out);
}

template <class Rule>
double initial_of(const HyperValues& values, std::size_t slot) noexcept {
    return rule::initial<Rule>(hyper_of<Rule>(values), slot);
}

template <class Rule>
RuleInfo make_rule_info() {
    static_assert(rule::is_rule<Rule>());
    static_assert(Rule::slots.size() <= max_slots && Rule::fields.size() <= max_fields);
    const typename Rule::Hyper presets;
    RuleInfo info{
        Rule::name,         Rule::slots.data(), Rule::slots.size(),     {}, Rule::fields.size(), rule::begins<Rule>,
        prepare_into<Rule>, initial_of<Rule>,   prepare_next_into<Rule>};
    for (std::size_t i = 0; i < Rule::fields.size(); ++i) {
        const auto& field = Rule::fields[i];
        info.fields[i] = {field.name, field.range, presets.*field.member};
    }
    return info;
}

template <class... Rules>
std::array<RuleInfo, sizeof...(Rules)> make_rule_infos(rule::List<Rules...>) {
    return {make_rule_info<Rules>()...};
}

}  // namespace detail

}  // namespace adamcore

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include "adamcore/dtype.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// The most hyper-parameters that a rule may have.
inline constexpr std::size_t max_fields = 16;

/// A rule's hyper-parameters without its type: the values, in the order of its fields.
using HyperValues = std::array<double, max_fields>;

/// Room for any rule's Step<T>.
struct alignas(double) StepStorage {
    std::byte bytes[192];
};

struct FieldInfo {
    const char* name;
    rule::Range range;
    double preset;
};

/// What is known of a rule at run time: how a program that picks rules by name sees it.
struct RuleInfo {
    std::string_view name;
    const char* const* slots;
    std::size_t slot_count;
    std::array<FieldInfo, max_fields> fields;
    std::size_t field_count;

    /// Writes Step<T> for update `t`, T being the compute type of `dtype`.
    void (*prepare)(const HyperValues& hyper, std::int64_t t, Dtype dtype, StepStorage& out) noexcept;
    /// The value that state `slot` starts from.
    double (*initial)(const HyperValues& hyper, std::size_t slot) noexcept;
};

namespace detail {

template <class Rule>
typename Rule::Hyper hyper_of(const HyperValues& values) {
    typename Rule::Hyper hyper;
    for (std::size_t i = 0; i < Rule::fields.size(); ++i) hyper.*Rule::fields[i].member = values[i];
    return hyper;
}

template <class Rule>
void prepare_into(const HyperValues& values, std::int64_t t, Dtype dtype, StepStorage& out) noexcept {
    visit_compute(dtype, [&](auto x) {
        using Step = typename Rule::template Step<decltype(x)>;
        static_assert(sizeof(Step) <= sizeof(StepStorage) && alignof(Step) <= alignof(StepStorage));
        new (out.bytes) Step(Rule::template prepare<decltype(x)>(hyper_of<Rule>(values), t));
    });
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
    RuleInfo info{Rule::name,          Rule::slots.data(), Rule::slots.size(), {},
                  Rule::fields.size(), prepare_into<Rule>, initial_of<Rule>};
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

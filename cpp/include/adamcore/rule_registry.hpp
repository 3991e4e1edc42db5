#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "adamcore/rule_info.hpp"
#include "adamcore/rules/all.hpp"

namespace adamcore {

/// The descriptions of all rules, in the order of rules::All. Part of the compiled targets.
const std::array<RuleInfo, rules::All::size>& all_rules() noexcept;

/// The index in all_rules() of the rule with this name. Throws std::invalid_argument, which lists the names, if there is
/// none. Part of the compiled targets.
std::size_t find_rule(std::string_view name);

/// A hyper-parameter by its name.
struct NamedNumber {
    std::string_view name;
    double value;
};
using NamedNumbers = std::initializer_list<NamedNumber>;

/// What follows is part of the compiled targets too. It throws std::invalid_argument if the rule has no hyper-parameter
/// of this name, or if a number is not in its range.

/// Replaces some hyper-parameters of a group, as in `{{"lr", 1e-3}, {"beta1", 0.95}}`, or none if it throws.
void set_hyper(Group& group, NamedNumbers hyper);
double hyper_of(const Group& group, std::string_view name);

/// A group with the rule of this name, and its presets where `hyper` says nothing else. Throws as find_rule() does.
Group named_group(std::string_view rule, NamedNumbers hyper = {});

/// The rule of a tensor of a group: that of the group, or the one that it names for vectors.
inline std::size_t rule_of(const Group& group, const Tensor& tensor) noexcept {
    return rule_of(all_rules().data(), group.rule, tensor);
}

/// Storage for any rule's Step<T>.
using StepStorage = detail::StepRoom<rules::All>;

}  // namespace adamcore

#pragma once

#include <array>

#include "adamcore/rule_info.hpp"
#include "adamcore/rules/all.hpp"

namespace adamcore {

/// The descriptions of all rules, in the order of rules::All. Part of the compiled targets.
const std::array<RuleInfo, rules::All::size>& all_rules() noexcept;

/// The rule of a tensor of a group: that of the group, or the one that it names for vectors.
inline std::size_t rule_of(const Group& group, const Tensor& tensor) noexcept {
    return rule_of(all_rules().data(), group.rule, tensor);
}

/// Storage for any rule's Step<T>.
using StepStorage = detail::StepRoom<rules::All>;

}  // namespace adamcore

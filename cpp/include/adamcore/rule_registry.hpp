#pragma once

#include <array>

#include "adamcore/rule_info.hpp"
#include "adamcore/rules/all.hpp"

namespace adamcore {

/// The descriptions of all rules, in the order of rules::All. Part of the compiled targets.
const std::array<RuleInfo, rules::All::size>& all_rules() noexcept;

}  // namespace adamcore

#pragma once

#include <string>
#include <vector>

#include "adamcore/rule_info.hpp"

namespace adamcore::python {

/// Raises ValueError, which names the hyper-parameter and the groups, unless groups of one optimizer agree on those that
/// they share (RuleInfo::common_fields). `owner` starts the message.
void require_agreement(const std::string& owner, const std::vector<Group>& groups);

}  // namespace adamcore::python

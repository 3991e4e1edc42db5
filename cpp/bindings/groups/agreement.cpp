#include "groups/agreement.hpp"

#include <cstddef>

#include "adamcore/optimizer/hyper.hpp"
#include "adamcore/rule_registry.hpp"
#include "groups/hyper.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

std::string text_of(const FieldInfo& field, const std::vector<Group>& groups, std::size_t group, std::size_t index) {
    return repr_of(value_of(field, groups[group].hyper[index])) + " in param_groups[" + std::to_string(group) + "]";
}

}  // namespace

void require_agreement(const std::string& owner, const std::vector<Group>& groups) {
    if (groups.size() < 2) return;
    const RuleInfo& rule = all_rules()[groups.front().rule];
    if (rule.number_count == 0) return;
    for (std::size_t i = 0; i < rule.field_count; ++i) {
        const bool may_be_zero = (rule.common_or_zero_fields >> i & 1) != 0;
        if (!may_be_zero && (rule.common_fields >> i & 1) == 0) continue;
        const auto conflict = detail::find_conflict(groups.data(), groups.size(), i, may_be_zero);
        if (!conflict) continue;
        const FieldInfo& field = rule.fields[i];
        throw py::value_error(owner + ": " + label_of(field) + " must be the same in all groups" +
                              (may_be_zero ? ", or 0" : "") + ", got " + text_of(field, groups, conflict->first, i) +
                              " and " + text_of(field, groups, conflict->second, i));
    }
}

}  // namespace adamcore::python

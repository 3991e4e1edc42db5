#include "groups/agreement.hpp"

#include <cstddef>
#include <optional>

#include "adamcore/rule_registry.hpp"
#include "groups/hyper.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_same(double a, double b) { return a == b || (rule::is_none(a) && rule::is_none(b)); }

/// The first two groups that disagree on a field. A field that `may_be_zero` has a say only where it is not 0.
std::optional<std::pair<std::size_t, std::size_t>> find_conflict(const std::vector<Group>& groups, std::size_t field,
                                                                 bool may_be_zero) {
    std::optional<std::size_t> first;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const double x = groups[i].hyper[field];
        if (may_be_zero && x == 0) continue;
        if (!first) first = i;
        if (!is_same(x, groups[*first].hyper[field])) return std::pair(*first, i);
    }
    return std::nullopt;
}

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
        const auto conflict = find_conflict(groups, i, may_be_zero);
        if (!conflict) continue;
        const FieldInfo& field = rule.fields[i];
        throw py::value_error(owner + ": " + label_of(field) + " must be the same in all groups" +
                              (may_be_zero ? ", or 0" : "") + ", got " + text_of(field, groups, conflict->first, i) +
                              " and " + text_of(field, groups, conflict->second, i));
    }
}

}  // namespace adamcore::python

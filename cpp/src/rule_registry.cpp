#include "adamcore/rule_registry.hpp"

#include <stdexcept>
#include <string>

#include "adamcore/optimizer/hyper.hpp"
#include "adamcore/rule/make_info.hpp"

namespace adamcore {

const std::array<RuleInfo, rules::All::size>& all_rules() noexcept {
    static const auto infos = detail::make_rule_infos(rules::All{});
    return infos;
}

std::size_t find_rule(std::string_view name) {
    for (std::size_t i = 0; i < all_rules().size(); ++i) {
        if (all_rules()[i].name == name) return i;
    }
    std::string names;
    for (const RuleInfo& each : all_rules()) names += (names.empty() ? "" : ", ") + std::string(each.name);
    throw std::invalid_argument("there is no rule named '" + std::string(name) + "'; the rules are " + names);
}

namespace {

std::size_t find_field(const RuleInfo& rule, std::string_view name) {
    for (std::size_t i = 0; i < rule.field_count; ++i) {
        if (rule.fields[i].name == name) return i;
    }
    std::string names;
    for (std::size_t i = 0; i < rule.field_count; ++i) names += (i > 0 ? ", " : "") + std::string(rule.fields[i].name);
    throw std::invalid_argument(std::string(rule.name) + " has no hyper-parameter '" + std::string(name) +
                                "'; it has " + names);
}

}  // namespace

double hyper_of(const Group& group, std::string_view name) {
    return group.hyper[find_field(all_rules()[group.rule], name)];
}

void set_hyper(Group& group, NamedNumbers hyper) {
    const RuleInfo& rule = all_rules()[group.rule];
    HyperValues values = group.hyper;
    for (const NamedNumber& each : hyper) values[find_field(rule, each.name)] = each.value;
    detail::require_in_range(rule, values);
    group.hyper = values;
}

Group named_group(std::string_view rule, NamedNumbers hyper) {
    Group group;
    group.rule = find_rule(rule);
    const RuleInfo& info = all_rules()[group.rule];
    for (std::size_t i = 0; i < info.field_count; ++i) group.hyper[i] = info.fields[i].preset;
    set_hyper(group, hyper);
    return group;
}

}  // namespace adamcore

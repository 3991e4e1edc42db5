#include "adamcore/rule_registry.hpp"

#include "adamcore/rule/make_info.hpp"

namespace adamcore {

const std::array<RuleInfo, rules::All::size>& all_rules() noexcept {
    static const auto infos = detail::make_rule_infos(rules::All{});
    return infos;
}

}  // namespace adamcore

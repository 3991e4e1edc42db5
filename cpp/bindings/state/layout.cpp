#include "state/layout.hpp"

#include <algorithm>
#include <string_view>

#include "adamcore/rule_registry.hpp"

namespace adamcore::python {
RuleSlots slots_of(std::size_t rule) {
    const RuleInfo& info = all_rules()[rule];
    return {info.slots, info.slots + info.slot_count};
}

std::vector<Initial> initials_of(std::size_t rule, const HyperValues& hyper) {
    const RuleInfo& info = all_rules()[rule];
    std::vector<Initial> initials;
    for (std::size_t slot = 0; slot < info.slot_count; ++slot)
        initials.push_back({info.slots[slot], info.initial(hyper, slot)});
    return initials;
}

std::size_t KeptSlots::find(const char* name) const {
    std::size_t i = 0;
    while (i < slots.size() && std::string_view(slots[i].slot.name) != name) ++i;
    return i;
}

bool counts_in_c_order(const RuleInfo& rule) {
    return rule.pass_count > 0 || all_rules()[rule.for_vectors].pass_count > 0;
}

bool has_lines(const RuleInfo& rule) {
    return std::any_of(rule.slots, rule.slots + rule.slot_count, [](const rule::Slot& slot) {
        return slot.shape == rule::Shape::rows || slot.shape == rule::Shape::columns;
    });
}

std::size_t rule_in(std::size_t cohort, std::size_t rule) {
    return cohort % cohorts_of_group == 0 ? all_rules()[rule].for_vectors : rule;
}

std::pair<std::size_t, std::size_t> StateLayout::largest() const {
    std::size_t tensor = 0, most = 0, bytes = 0;
    for (std::size_t i = 0; i < placed_.size(); ++i) {
        bytes =
            i > 0 && placed_[i - 1].tensor == placed_[i].tensor ? bytes + placed_[i].slot.bytes : placed_[i].slot.bytes;
        if (bytes > most) tensor = placed_[i].tensor, most = bytes;
    }
    return {tensor, most};
}

void StateLayout::point_into(std::byte* block, std::vector<Tensor>& tensors) const {
    for (const Placed& each : placed_) address_of(tensors[each.tensor], each.slot) = block + each.offset;
}

void convert_state(void* to, Dtype to_dtype, const void* from, Dtype from_dtype, std::int64_t size) noexcept {
    if (to_dtype == Dtype::float64 && from_dtype == Dtype::float32)
        std::copy_n(static_cast<const float*>(from), size, static_cast<double*>(to));
    if (to_dtype == Dtype::float32 && from_dtype == Dtype::float64)
        std::transform(static_cast<const double*>(from), static_cast<const double*>(from) + size,
                       static_cast<float*>(to), [](double x) { return static_cast<float>(x); });
}

std::uint32_t name_hash(const std::string& name) {
    std::uint32_t hash = 2166136261u;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    return hash;
}

}  // namespace adamcore::python

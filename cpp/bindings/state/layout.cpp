#include "state/layout.hpp"

#include <algorithm>
#include <string_view>

#include "adamcore/rule_registry.hpp"

namespace adamcore::python {
namespace {

struct ExtraArray {
    const char* name;
    const char* dtype;
};

/// In the order of Tensor::extra.
std::vector<ExtraArray> extra_arrays(const Tensor& tensor) {
    switch (tensor.weights) {
        case WeightPolicy::master: return {{"master", "float32"}};
        case WeightPolicy::remainder: return {{"remainder", "uint16"}, {"remainder_ties", "uint8"}};
        case WeightPolicy::compensated: return {{"compensation", name_of(tensor.dtype)}};
        case WeightPolicy::plain:
        case WeightPolicy::stochastic: break;
    }
    return {};
}

}  // namespace

RuleSlots slots_of(const RuleInfo& rule) { return {rule.slots, rule.slots + rule.slot_count}; }

std::vector<Initial> initials_of(const Group& group) {
    const RuleInfo& rule = all_rules()[group.rule];
    std::vector<Initial> initials;
    for (std::size_t slot = 0; slot < rule.slot_count; ++slot)
        initials.push_back({rule.slots[slot], rule.initial(group.hyper, slot)});
    return initials;
}

std::size_t KeptSlots::find(const char* name) const {
    std::size_t i = 0;
    while (i < slots.size() && std::string_view(slots[i].slot.name) != name) ++i;
    return i;
}

std::vector<StateSlot> state_slots(const Tensor& tensor, const RuleSlots& rule_slots, Extras with) {
    const auto count = static_cast<std::size_t>(tensor.size);
    std::vector<StateSlot> slots;
    for (std::size_t i = 0; i < rule_slots.size(); ++i) {
        const rule::Slot& slot = rule_slots[i];
        slots.push_back({slot.name, name_of(tensor.state_dtype), count * size_of(tensor.state_dtype), i, false, false,
                         slot.is_nonnegative()});
    }
    if (with == Extras::without) return slots;
    const std::vector<ExtraArray> extras = extra_arrays(tensor);
    const auto bits = extra_bits(tensor.weights);
    for (std::size_t i = 0; i < extras.size(); ++i)
        slots.push_back({extras[i].name, extras[i].dtype, (count * bits[i] + 7) / 8, i, true, bits[i] == 1, false});
    return slots;
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

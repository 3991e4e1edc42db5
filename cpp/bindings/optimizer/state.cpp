// How the state of parameters that the optimizer already has changes: hyper-parameters may ask for another rule, and
// checkpoints may have other arrays.

#include "state/change.hpp"

#include <algorithm>
#include <string_view>

#include "adamcore/rule_registry.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "runtime/room.hpp"

namespace adamcore::python {
namespace {

bool has(const RuleSlots& slots, const char* name) {
    return std::any_of(slots.begin(), slots.end(),
                       [&](const rule::Slot& slot) { return std::string_view(slot.name) == name; });
}

bool has_all(const KeptSlots& kept, const RuleInfo& rule) {
    return std::all_of(rule.slots, rule.slots + rule.slot_count, [&](const rule::Slot& slot) {
        const std::size_t at = kept.find(slot.name);
        return at < kept.slots.size() && kept.slots[at].exists;
    });
}

/// The next step prepares the state of the group's rules.
void forget_rules(StateChange& change, std::size_t cohort) {
    const std::size_t first = cohort / cohorts_of_group * cohorts_of_group;
    for (std::size_t k = 0; k < cohorts_of_group; ++k) change.kept[first + k].rule = KeptSlots::unknown;
}

}  // namespace

std::pair<std::size_t, std::size_t> BoundOptimizer::members(std::size_t group) const {
    const auto first_from = [&](std::size_t of) {
        std::size_t low = 0, high = size();
        while (low < high) {
            const std::size_t middle = low + (high - low) / 2;
            static_cast<std::size_t>(tensor_at(middle).group) < of ? low = middle + 1 : high = middle;
        }
        return low;
    };
    return {first_from(group), first_from(group + 1)};
}

StateChange BoundOptimizer::state_as_it_is() const {
    StateChange change{kept_, {}};
    change.arrays.reserve(size());
    for (const Form& form : forms_) change.arrays.push_back(form.state);
    return change;
}

template <class F>
void BoundOptimizer::for_each_group(F&& f) const {
    for (std::size_t group = 0; group < groups_.size(); ++group) f(group, cohorts_of_group * group);
}

std::vector<std::size_t> BoundOptimizer::members_of_cohort(std::size_t cohort) const {
    std::vector<std::size_t> found;
    const auto [begin, end] = members(cohort / cohorts_of_group);
    for (std::size_t i = begin; i < end; ++i) {
        if (cohort_of(tensor_at(i)) == cohort) found.push_back(i);
    }
    return found;
}

BoundOptimizer::NewSlots BoundOptimizer::new_slots(StateChange& change, std::size_t cohort,
                                                   const std::vector<Initial>& wanted) {
    KeptSlots& kept = change.kept[cohort];
    NewSlots found{cohort, {}, {}, {}};
    std::vector<Initial> old_initials;
    std::vector<std::size_t> old_places;
    for (const Initial& each : wanted) {
        const std::size_t at = kept.find(each.slot.name);
        if (at < kept.slots.size() && kept.slots[at].exists) continue;
        if (at < kept.slots.size()) {
            kept.slots[at].exists = true;
            old_places.push_back(at);
            old_initials.push_back(each);
        } else {
            found.fresh.push_back(each.slot);
            found.initials.push_back(each);
        }
    }
    if (found.fresh.empty() && old_places.empty()) return found;
    if (kept.slots.size() + found.fresh.size() > max_slots)
        throw py::value_error(owner() + ": the rules of a group have more than " + std::to_string(max_slots) +
                              " state arrays");
    require_changeable_state();
    for (const rule::Slot& slot : found.fresh) {
        found.places.push_back(kept.slots.size());
        kept.slots.push_back({slot});
    }
    found.places.insert(found.places.end(), old_places.begin(), old_places.end());
    found.initials.insert(found.initials.end(), old_initials.begin(), old_initials.end());
    return found;
}

void BoundOptimizer::add_slots(StateChange& change, std::size_t group, const std::vector<NewSlots>& added) {
    const auto [begin, end] = members(group);
    std::vector<Tensor> tensors;
    std::vector<StateSlots> to_allocate;
    std::vector<std::string> labels;
    bool is_fresh = false;
    for (std::size_t i = begin; i < end; ++i) {
        Tensor tensor = tensor_at(i);
        std::fill(std::begin(tensor.state), std::end(tensor.state), nullptr);
        std::fill(std::begin(tensor.extra), std::end(tensor.extra), nullptr);
        const RuleSlots& fresh = added[cohort_of(tensor) % cohorts_of_group].fresh;
        to_allocate.emplace_back();
        for (std::size_t k = 0; k < fresh.size(); ++k) to_allocate.back().push_back(state_slot(tensor, fresh[k], k));
        is_fresh |= !fresh.empty();
        tensors.push_back(tensor);
        labels.push_back(names_->label(i));
    }
    if (is_fresh) {
        StateBlock block = allocate_state(tensors, to_allocate, labels);
        if (block.keeper) {
            change.regions.add({block.address, block.address + block.size, -1, nullptr}, block.keeper.ptr());
            python::make_room(blocks_[group], 1);
            change.blocks.emplace_back(group, std::move(block));
        }
    }
    for (const NewSlots& slots : added) {
        if (slots.places.empty()) continue;
        Started started{{}, slots.initials, slots.fresh.size()};
        for (std::size_t i = begin; i < end; ++i) {
            Tensor& tensor = tensors[i - begin];
            if (cohort_of(tensor) != slots.cohort) continue;
            for (std::size_t k = 0; k < slots.places.size(); ++k) {
                void*& array = change.arrays[i][slots.places[k]];
                if (k < slots.fresh.size()) array = tensor.state[k];
                tensor.state[k] = array;
            }
            started.tensors.push_back(tensor);
        }
        if (!started.tensors.empty()) start_state(started);
    }
}

std::optional<StateChange> BoundOptimizer::follow_rules() {
    constexpr std::size_t of_matrices = cohorts_of_group - 1;
    bool same = true;
    for (std::size_t group = 0; group < groups_.size(); ++group)
        same &= kept_[cohorts_of_group * group + of_matrices].rule == groups_[group].rule;
    if (same) return std::nullopt;
    require_changeable_state();
    StateChange change = state_as_it_is();
    for_each_group([&](std::size_t group, std::size_t first) {
        std::vector<NewSlots> added;
        for (std::size_t cohort = first; cohort < first + cohorts_of_group; ++cohort) {
            KeptSlots& kept = change.kept[cohort];
            const std::size_t rule = rule_in(cohort, groups_[group].rule);
            const bool is_same_rule = kept.rule == rule;
            added.push_back(new_slots(change, cohort,
                                      is_same_rule ? std::vector<Initial>{} : initials_of(rule, groups_[group].hyper)));
            kept.rule = rule;
            kept.begins |= !is_same_rule && all_rules()[rule].begins;
        }
        add_slots(change, group, added);
    });
    regions_.check(change.regions, [&](std::int64_t i) { return names_->label(static_cast<std::size_t>(i)); });
    return change;
}

StateChange BoundOptimizer::with_slot(const rule::Slot& slot) {
    StateChange change = state_as_it_is();
    for_each_group([&](std::size_t group, std::size_t first) {
        std::vector<NewSlots> added;
        for (std::size_t cohort = first; cohort < first + cohorts_of_group; ++cohort)
            added.push_back(new_slots(change, cohort, {{slot, 0}}));
        add_slots(change, group, added);
    });
    regions_.check(change.regions, [&](std::int64_t i) { return names_->label(static_cast<std::size_t>(i)); });
    return change;
}

StateChange BoundOptimizer::take_slots(const std::vector<RuleSlots>& wanted, const std::vector<std::size_t>& family) {
    StateChange change = state_as_it_is();
    for_each_group([&](std::size_t group, std::size_t first) {
        std::vector<NewSlots> added;
        for (std::size_t cohort = first; cohort < first + cohorts_of_group; ++cohort) {
            for (KeptSlot& each : change.kept[cohort].slots) {
                if (!each.exists || has(wanted[cohort], each.slot.name)) continue;
                require_changeable_state();
                each.exists = false;
            }
            std::vector<Initial> initials;  // what is loaded takes the place of these
            for (const rule::Slot& slot : wanted[cohort]) initials.push_back({slot, 0});
            added.push_back(new_slots(change, cohort, initials));
        }
        add_slots(change, group, added);
    });
    for (std::size_t cohort = 0; cohort < kept_.size(); ++cohort) {
        KeptSlots& kept = change.kept[cohort];
        if (kept.rule != KeptSlots::unknown && !has_all(kept, all_rules()[kept.rule])) forget_rules(change, cohort);
        kept.begins = std::any_of(family.begin(), family.end(), [&](std::size_t selected) {
            const RuleInfo& rule = all_rules()[rule_in(cohort, selected)];
            return rule.begins && has_all(kept, rule);
        });
    }
    regions_.check(change.regions, [&](std::int64_t i) { return names_->label(static_cast<std::size_t>(i)); });
    return change;
}

void BoundOptimizer::commit(StateChange&& change) noexcept {
    for (std::size_t i = 0; i < size(); ++i) forms_[i].state = change.arrays[i];
    kept_.swap(change.kept);
    for (auto& [group, block] : change.blocks) blocks_[group].push_back(std::move(block));
    regions_.commit(std::move(change.regions));
    for (std::size_t i = 0; i < size(); ++i) use_rule(i);
    if (!change.blocks.empty()) forget_checked();
}

void BoundOptimizer::use_rule(std::size_t i) noexcept {
    const KeptSlots& kept = kept_[cohort_of(tensor_at(i))];
    if (kept.rule == KeptSlots::unknown) return;
    const RuleInfo& rule = all_rules()[kept.rule];
    SlotArrays state{};
    for (std::size_t slot = 0; slot < rule.slot_count; ++slot)
        state[slot] = forms_[i].state[kept.find(rule.slots[slot].name)];
    use_state(i, state, rule.begins);
}

const StateBlock& BoundOptimizer::block_of(std::size_t i, const void* array) const {
    static const auto& none = *new StateBlock();
    for (const StateBlock& block : blocks_[static_cast<std::size_t>(tensor_at(i).group)]) {
        if (block.contains(array)) return block;
    }
    return none;
}

}  // namespace adamcore::python

// How moments begin anew or change their size between steps. Both moments change together: a first moment divided by the
// root of a second one that is too small has no bound.

#include <cmath>

#include "adamcore/rule_registry.hpp"
#include "optimizer/bound_optimizer.hpp"

namespace adamcore::python {

std::vector<Started> BoundOptimizer::moments_of(const std::vector<bool>& chosen) const {
    std::vector<Started> started;
    for (std::size_t cohort = 0; cohort < kept_.size(); ++cohort) {
        const KeptSlots& kept = kept_[cohort];
        const std::size_t group = cohort / cohorts_of_group;
        const std::vector<Initial> of_rule = initials_of(rule_in(cohort, groups_[group].rule), groups_[group].hyper);
        Started found{{}, {}, 0};
        std::vector<std::size_t> places;
        for (std::size_t place = 0; place < kept.slots.size(); ++place) {
            const KeptSlot& each = kept.slots[place];
            if (!each.exists || each.slot.degree == 0) continue;
            Initial initial{each.slot, 0};
            for (const Initial& known : of_rule) {
                if (std::string_view(known.slot.name) == each.slot.name) initial.value = known.value;
            }
            found.initials.push_back(initial);
            places.push_back(place);
        }
        for (const std::size_t i : members_of_cohort(cohort)) {
            if (!chosen[i] || places.empty()) continue;
            Tensor tensor = tensor_at(i);
            std::fill(std::begin(tensor.state), std::end(tensor.state), nullptr);
            std::fill(std::begin(tensor.extra), std::end(tensor.extra), nullptr);
            for (std::size_t k = 0; k < places.size(); ++k) tensor.state[k] = forms_[i].state[places[k]];
            found.tensors.push_back(tensor);
        }
        if (!found.tensors.empty()) started.push_back(std::move(found));
    }
    return started;
}

std::vector<bool> BoundOptimizer::chosen_of(const std::vector<std::size_t>& parameters) const {
    std::vector<bool> chosen(size());
    for (const std::size_t i : parameters) chosen.at(i) = true;
    return chosen;
}

void BoundOptimizer::reset_state(const std::vector<std::size_t>& parameters) {
    const Exclusive exclusive(use_, owner());
    if (size() == 0) return;
    const std::vector<Started> moments = moments_of(chosen_of(parameters));
    const Counts before = counts();
    Counts now = before;
    for (const std::size_t i : parameters) now.tensors[i] = {};
    load({}, now);
    try {
        for (const Started& each : moments) start_state(each);
    } catch (...) {
        load({}, before);
        throw;
    }
    for (std::size_t i = 0; i < size(); ++i) use_rule(i);
}

void BoundOptimizer::rescale_state(const std::vector<std::size_t>& parameters, double factor) {
    const Exclusive exclusive(use_, owner());
    std::vector<Rescaling> of_degree{{1, std::sqrt(factor), {}}, {2, factor, {}}};
    for (const Started& each : moments_of(chosen_of(parameters))) {
        for (const Tensor& tensor : each.tensors) {
            for (std::size_t k = 0; k < each.initials.size(); ++k) {
                const rule::Slot& slot = each.initials[k].slot;
                of_degree[slot.degree - 1u].arrays.push_back(
                    {tensor.state[k], slot_dtype(tensor, slot), slot_size(tensor, slot)});
            }
        }
    }
    rescale(of_degree);
}

}  // namespace adamcore::python

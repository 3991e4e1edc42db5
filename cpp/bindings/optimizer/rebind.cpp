// How an optimizer goes on with other arrays: they are bound to an optimizer of their own, which then gives them up.

#include <algorithm>
#include <iterator>
#include <tuple>

#include <pybind11/stl.h>

#include "adamcore/rule_registry.hpp"
#include "checkpoint/dict_updates.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "structures/node.hpp"

namespace adamcore::python {
namespace {

/// Whether what is stored beside weights means the same for both parameters.
bool has_same_extras(const Tensor& a, const Tensor& b) {
    if (a.weights != b.weights) return false;
    return a.weights != WeightPolicy::compensated || a.dtype == b.dtype;  // a master is of any half precision
}

/// The slots that are not only memory.
KeptSlots existing(const KeptSlots& known) {
    KeptSlots kept{{}, known.rule, known.begins};
    std::copy_if(known.slots.begin(), known.slots.end(), std::back_inserter(kept.slots),
                 [](const KeptSlot& each) { return each.exists; });
    return kept;
}

}  // namespace

void BoundOptimizer::rebind(const py::list& params) {
    std::unique_ptr<BoundOptimizer> other;  // has the old arrays in the end, whose finalizers may use the optimizer
    py::list values;
    for (const py::handle group : params) {
        py::dict value;
        value["params"] = py::reinterpret_borrow<py::tuple>(group)[0];
        values.append(value);
    }
    std::optional<DictUpdates> updates;
    const Exclusive exclusive(use_, owner());
    window_.require_closed("rebind");
    if (params.size() != groups_.size()) throw py::value_error(owner() + ": rebind: the number of groups has changed");
    before_rebind();
    other = make_like();
    other->names_ = names_;
    for (std::size_t group = 0; group < groups_.size(); ++group)
        other->bind_again(*this, group, py::reinterpret_borrow<py::tuple>(params[group]));
    updates.emplace(containers_.dicts(), values);
    before_adopt(*other);

    other->names_ = std::make_shared<Names>();
    forms_.swap(other->forms_);
    axes_.swap(other->axes_);
    lenders_.swap(other->lenders_);
    std::swap(lenders_that_run_code_, other->lenders_that_run_code_);
    std::swap(all_written_, other->all_written_);
    kept_.swap(other->kept_);
    blocks_.swap(other->blocks_);
    std::swap(regions_, other->regions_);
    std::swap(containers_, other->containers_);
    window_.swap(other->window_);  // the new arrays may be of another type
    adopt(*other);
    for (std::size_t i = 0; i < size(); ++i) use_rule(i);
    updates->apply();
}

void BoundOptimizer::bind_again(const BoundOptimizer& old, std::size_t group, const py::tuple& params) {
    const auto labels = params[1].cast<std::vector<std::string>>();
    const auto structure = std::make_shared<const Tree>(read_tree(params[3], size()));
    Addition added{params[0], {}, labels, old.groups_.copy_of(group)};
    added.heir_of = &old;
    std::size_t end = 0;
    std::tie(added.heir_from, end) = old.members(group);
    if (added.params.size() != end - added.heir_from || labels.size() != added.params.size())
        throw py::value_error(owner() + ": rebind: the number of arrays in a group has changed");
    for (std::size_t i = added.heir_from; i < end; ++i) added.names.push_back(names_->key(i));
    const std::unique_ptr<Binding> binding = bind(added);
    require_apart(added);
    if (!added.started.empty()) binding->start();
    convert(added.conversions);
    added.containers = Containers::look_at(old.containers_.dicts()[group], added.params, params[2], structure);
    make_room(added);
    binding->make_room();
    binding->commit();
    commit(std::move(added));
}

/// Arrays that a parameter's state does not have yet.
struct BoundOptimizer::Renewed {
    std::vector<std::size_t> places;  ///< of the parameters in the group
    std::vector<Tensor> tensors{};
    std::vector<StateSlots> slots{};
    std::vector<std::string> labels{};
};

void BoundOptimizer::inherit_state(Addition& added) {
    if (added.tensors.empty()) return;
    const auto group = static_cast<std::size_t>(added.tensors.front().group);
    for (std::size_t cohort = 0; cohort < cohorts_of_group; ++cohort)
        added.kept[cohort] = existing(added.heir_of->kept_[cohorts_of_group * group + cohort]);
    Renewed renewed = inherit_arrays(added);
    keep_blocks(added, group);
    if (renewed.places.empty()) return;
    StateBlock block = allocate_state(renewed.tensors, renewed.slots, renewed.labels);
    if (block.keeper) added.blocks.push_back(std::move(block));
    convert_arrays(added, std::move(renewed));
}

BoundOptimizer::Renewed BoundOptimizer::inherit_arrays(Addition& added) {
    const BoundOptimizer& old = *added.heir_of;
    Renewed renewed{};
    for (std::size_t i = 0; i < added.tensors.size(); ++i) {
        Tensor& tensor = added.tensors[i];
        const Tensor& before = old.tensor_at(added.heir_from + i);
        StateSlots fresh;
        const KeptSlots& kept = added.kept[cohort_of(tensor) % cohorts_of_group];
        for (std::size_t k = 0; k < kept.slots.size(); ++k) {
            const rule::Slot& slot = kept.slots[k].slot;
            if (slot_dtype(tensor, slot) == slot_dtype(before, slot)) {
                added.forms[i].state[k] = old.array_of(added.heir_from + i, slot.name);
            } else {
                fresh.push_back(state_slot(tensor, slot, k));
            }
        }
        if (has_same_extras(tensor, before)) {
            std::copy(std::begin(before.extra), std::end(before.extra), std::begin(tensor.extra));
        } else {
            const StateSlots beside = weight_slots(tensor);
            fresh.insert(fresh.end(), beside.begin(), beside.end());
        }
        if (fresh.empty()) continue;
        renewed.places.push_back(i);
        renewed.tensors.push_back(tensor);
        renewed.slots.push_back(std::move(fresh));
        renewed.labels.push_back(added.labels[i]);
    }
    return renewed;
}

void BoundOptimizer::convert_arrays(Addition& added, Renewed renewed) {
    const BoundOptimizer& old = *added.heir_of;
    Started started{{}, {}, 0};
    for (std::size_t j = 0; j < renewed.places.size(); ++j) {
        const std::size_t i = renewed.places[j];
        const Tensor& before = old.tensor_at(added.heir_from + i);
        Tensor& tensor = renewed.tensors[j];
        for (const StateSlot& each : renewed.slots[j]) {
            if (each.is_extra) continue;
            void* const array = tensor.state[each.index];
            added.forms[i].state[each.index] = array;
            added.conversions.push_back({array, old.array_of(added.heir_from + i, each.slot.name),
                                         slot_size(before, each.slot), slot_dtype(tensor, each.slot),
                                         slot_dtype(before, each.slot)});
        }
        if (!renewed.slots[j].back().is_extra) continue;
        std::copy(std::begin(tensor.extra), std::end(tensor.extra), std::begin(added.tensors[i].extra));
        std::fill(std::begin(tensor.state), std::end(tensor.state), nullptr);
        started.tensors.push_back(tensor);
    }
    if (!started.tensors.empty()) added.started.push_back(std::move(started));
}

void* BoundOptimizer::array_of(std::size_t i, const char* slot) const {
    return forms_[i].state[kept_[cohort_of(tensor_at(i))].find(slot)];
}

void BoundOptimizer::keep_blocks(Addition& added, std::size_t group) {
    const auto is_used = [&](const StateBlock& block) {
        for (std::size_t i = 0; i < added.tensors.size(); ++i) {
            const SlotArrays& state = added.forms[i].state;
            const auto is_inside = [&](const void* array) { return block.contains(array); };
            if (std::any_of(state.begin(), state.end(), is_inside) || block.contains(added.tensors[i].extra[0]))
                return true;
        }
        return false;
    };
    const std::vector<StateBlock>& blocks = added.heir_of->blocks_[group];
    std::copy_if(blocks.begin(), blocks.end(), std::back_inserter(added.blocks), is_used);
}

}  // namespace adamcore::python

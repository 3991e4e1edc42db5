// How an optimizer goes on with other arrays: they are bound to an optimizer of their own, which then gives them up.

#include <algorithm>
#include <iterator>
#include <tuple>

#include <pybind11/stl.h>

#include "adamcore/rule_registry.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "optimizer/dict_updates.hpp"
#include "structures/node.hpp"

namespace adamcore::python {
namespace {

/// Whether what is stored beside weights means the same for both parameters.
bool has_same_extras(const Tensor& a, const Tensor& b) {
    if (a.weights != b.weights) return false;
    return a.weights != WeightPolicy::compensated || a.dtype == b.dtype;  // a master is of any half precision
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
    if (!added.started.empty()) binding->start({});
    convert(added.conversions);
    added.containers = Containers::look_at(old.containers_.dicts()[group], added.params, params[2], structure);
    make_room(added);
    binding->make_room();
    binding->commit();
    commit(std::move(added));
}

void BoundOptimizer::inherit_state(Addition& added) {
    const BoundOptimizer& old = *added.heir_of;
    const auto group = static_cast<std::size_t>(added.tensors.empty() ? 0 : added.tensors.front().group);
    if (added.tensors.empty()) return;
    const KeptSlots& known = old.kept_[group];
    added.kept.rule = known.rule;
    added.kept.begins = known.begins;
    std::vector<std::size_t> places;
    RuleSlots slots;
    for (std::size_t k = 0; k < known.slots.size(); ++k) {
        if (!known.slots[k].exists) continue;
        places.push_back(k);
        slots.push_back(known.slots[k].slot);
        added.kept.slots.push_back(known.slots[k]);
    }
    std::vector<std::size_t> converted, extended;
    std::vector<Tensor> new_state, new_extras;
    std::vector<std::string> state_labels, extras_labels;
    for (std::size_t i = 0; i < added.tensors.size(); ++i) {
        Tensor& tensor = added.tensors[i];
        const Tensor& before = old.tensor_at(added.heir_from + i);
        const Form& form = old.forms_[added.heir_from + i];
        if (tensor.state_dtype == before.state_dtype) {
            for (std::size_t k = 0; k < places.size(); ++k) added.forms[i].state[k] = form.state[places[k]];
        } else {
            converted.push_back(i);
            new_state.push_back(tensor);
            state_labels.push_back(added.labels[i]);
        }
        if (has_same_extras(tensor, before)) {
            std::copy(std::begin(before.extra), std::end(before.extra), std::begin(tensor.extra));
        } else if (extra_bits(tensor.weights)[0] > 0) {
            extended.push_back(i);
            new_extras.push_back(tensor);
            extras_labels.push_back(added.labels[i]);
        }
    }
    const auto is_used = [&](const StateBlock& block) {
        for (std::size_t i = 0; i < added.tensors.size(); ++i) {
            for (std::size_t k = 0; k < places.size(); ++k) {
                if (block.contains(added.forms[i].state[k])) return true;
            }
            if (block.contains(added.tensors[i].extra[0])) return true;
        }
        return false;
    };
    std::copy_if(old.blocks_[group].begin(), old.blocks_[group].end(), std::back_inserter(added.blocks), is_used);
    if (!converted.empty() && !slots.empty()) {
        added.blocks.push_back(allocate_state(new_state, slots, Extras::without, state_labels));
        for (std::size_t j = 0; j < converted.size(); ++j) {
            const std::size_t i = converted[j];
            const Tensor& before = old.tensor_at(added.heir_from + i);
            const Form& form = old.forms_[added.heir_from + i];
            for (std::size_t k = 0; k < slots.size(); ++k) {
                void* const array = new_state[j].state[k];
                added.forms[i].state[k] = array;
                added.conversions.push_back(
                    {array, form.state[places[k]], before.size, new_state[j].state_dtype, before.state_dtype});
            }
        }
    }
    if (!extended.empty()) {
        added.blocks.push_back(allocate_state(new_extras, {}, Extras::with, extras_labels));
        for (std::size_t j = 0; j < extended.size(); ++j)
            std::copy(std::begin(new_extras[j].extra), std::end(new_extras[j].extra),
                      std::begin(added.tensors[extended[j]].extra));
        added.started = new_extras;
    }
    added.blocks.erase(
        std::remove_if(added.blocks.begin(), added.blocks.end(), [](const StateBlock& block) { return !block.keeper; }),
        added.blocks.end());
}

}  // namespace adamcore::python

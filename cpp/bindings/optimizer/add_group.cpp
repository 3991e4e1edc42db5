// How a group is added: its arrays are described, its state is allocated, and then all of it is committed.

#include <algorithm>
#include <utility>

#include "adamcore/rule_registry.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "runtime/room.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

/// The numbers with which an optimizer begins whose first group this is.
std::vector<double> first_numbers(const Group& group) {
    const RuleInfo& rule = all_rules()[group.rule];
    std::vector<double> numbers;
    for (std::size_t k = 0; k < rule.number_count; ++k) numbers.push_back(rule.first_number(group.hyper, k));
    return numbers;
}

}  // namespace

void BoundOptimizer::add_group(const py::list& param_groups, const py::dict& group, const py::object& source,
                               const py::list& names, const std::vector<std::string>& labels,
                               const std::vector<std::string>& keys, const py::object& tree,
                               const py::tuple& variant_keys, const py::function& variant, bool checked) {
    const Exclusive exclusive(use_, owner());
    window_.require_closed("add_param_group");
    const auto structure = std::make_shared<const Tree>(read_tree(tree, size()));
    Groups::Candidate candidate = groups_.look_at(group, variant_keys, variant, count_completed());
    if (checked) groups_.require_agreement_of(candidate.group);
    Addition added{group["params"], exact_names(names), labels, std::move(candidate)};
    names_->require_new(added.names, labels);
    if (groups_.size() == 0) added.numbers = first_numbers(added.group.group);
    const std::unique_ptr<Binding> binding = bind(added);
    require_apart(added);
    binding->start();
    added.containers = Containers::look_at(group, source, structure);

    make_room(added);
    binding->make_room();
    names_->add(added.names, labels, keys, structure, param_groups, group);
    binding->commit();
    commit(std::move(added));
}

void BoundOptimizer::describe(const std::vector<ArrayView>& views, const std::vector<const void*>& memory_owners,
                              Addition& added) const {
    const RuleInfo& rule = all_rules()[added.group.group.rule];
    std::size_t axes = 0;
    for (const ArrayView& view : views) axes += 2 * static_cast<std::size_t>(view.ndim);
    added.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = added.axes.get();
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        if (view.is_complex && has_lines(rule)) refuse_complex(view, owner(), added.labels[i]);
        Form form;
        form.shape = {view.ndim, next_axes, view.is_complex};
        // Where there are no elements, strides say nothing, and the parts of complex numbers must come last.
        const bool in_c_order =
            options_.counts_in_c_order() || counts_in_c_order(rule) || (view.is_complex && view.size == 0);
        form.order = in_c_order ? c_order(view.ndim) : memory_order(view);
        if (added.heir_of) {
            const Form& old = added.heir_of->forms_[added.heir_from + i];
            const Dtype old_dtype = added.heir_of->tensor_at(added.heir_from + i).dtype;
            require_shape(view, old.shape, old_dtype, added.labels[i], "the array that it replaces");
            form.order = old.order;
        }
        next_axes = std::copy(view.shape, view.shape + view.ndim, next_axes);
        next_axes = std::copy(view.strides, view.strides + view.ndim, next_axes);
        added.tensors.push_back(tensor_of(view, i, added));
        added.forms.push_back(std::move(form));
        added.regions.add(region_of(view, static_cast<std::int64_t>(size() + i)), memory_owners[i]);
    }
}

Tensor BoundOptimizer::tensor_of(const ArrayView& view, std::size_t i, const Addition& added) const {
    Tensor tensor;
    tensor.param = view.data;
    tensor.size = view.size;
    tensor.step = 0;
    tensor.group = static_cast<std::int32_t>(groups_.size());
    tensor.dtype = tensor.grad_dtype = view.dtype;
    tensor.state_dtype = view.is_complex ? view.dtype : options_.state_of(view.dtype);
    tensor.weights = options_.weights_of(view.dtype);
    tensor.state_rounding = options_.state_rounding;
    tensor.number = name_hash(added.names[i].cast<std::string>());
    set_lines(tensor, view);
    tensor.first = all_rules()[rule_of(added.group.group, tensor)].begins ? 1 : Tensor::never;
    return tensor;
}

void BoundOptimizer::add_state(Addition& added) {
    added.heir_of ? inherit_state(added) : begin_state(added);
    for (const StateBlock& block : added.blocks)
        added.regions.add({block.address, block.address + block.size, -1, nullptr}, block.keeper.ptr());
}

void BoundOptimizer::begin_state(Addition& added) {
    const Group& group = added.group.group;
    std::vector<StateSlots> slots;
    const auto slots_for = [&](std::size_t rule) {
        RuleSlots all = slots_of(rule);
        for (const Averaged& each : averages_) all.push_back(each.slot);
        return all;
    };
    for (const Tensor& tensor : added.tensors) slots.push_back(state_slots(tensor, slots_for(rule_of(group, tensor))));
    StateBlock block = allocate_state(added.tensors, slots, added.labels);
    if (block.keeper) added.blocks.push_back(std::move(block));
    std::array<std::vector<Tensor>, cohorts_of_group> started;
    for (std::size_t i = 0; i < added.forms.size(); ++i) {
        Tensor& tensor = added.tensors[i];
        std::copy(std::begin(tensor.state), std::end(tensor.state), added.forms[i].state.begin());
        started[cohort_of(tensor) % cohorts_of_group].push_back(tensor);
        for (std::size_t k = slots_of(rule_of(group, tensor)).size(); k < max_slots; ++k) tensor.state[k] = nullptr;
    }
    for (std::size_t cohort = 0; cohort < cohorts_of_group; ++cohort) {
        const std::size_t rule = rule_in(cohort, group.rule);
        KeptSlots& kept = added.kept[cohort];
        kept.rule = rule;
        kept.begins = all_rules()[rule].begins;
        for (const rule::Slot& slot : slots_for(rule)) kept.slots.push_back({slot});
        if (kept.slots.size() > max_slots)
            throw py::value_error(owner() + ": a rule's state and the averages of weights have more than " +
                                  std::to_string(max_slots) + " arrays");
        if (started[cohort].empty()) continue;
        std::vector<Initial> initials = initials_of(rule, group.hyper);
        for (const Averaged& each : averages_) initials.push_back({each.slot, 0});
        const std::size_t count = initials.size();
        added.started.push_back({std::move(started[cohort]), std::move(initials), count});
    }
}

void BoundOptimizer::require_apart(Addition& added) {
    regions_.check(added.regions, [&](std::int64_t tensor) {
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? names_->label(i) : added.labels[i - size()];
    });
}

void BoundOptimizer::make_room(const Addition& added) {
    python::make_room(forms_, added.forms.size());
    python::make_room(axes_, 1);
    python::make_room(lenders_, added.lenders.size());
    containers_.make_room();
    groups_.make_room();
    python::make_room(kept_, cohorts_of_group);
    python::make_room(blocks_, 1);
}

void BoundOptimizer::commit(Addition&& added) noexcept {
    std::move(added.forms.begin(), added.forms.end(), std::back_inserter(forms_));
    axes_.push_back(std::move(added.axes));
    for (Lender& lender : added.lenders) {
        all_written_ = {};
        lenders_that_run_code_ += lender.type == nullptr;
        lenders_.push_back(std::move(lender));
    }
    if (groups_.size() == 0) numbers_.swap(added.numbers);
    groups_.add(std::move(added.group));
    std::move(added.kept.begin(), added.kept.end(), std::back_inserter(kept_));
    blocks_.push_back(std::move(added.blocks));
    containers_.add(std::move(added.containers));
    regions_.commit(std::move(added.regions));
}

}  // namespace adamcore::python

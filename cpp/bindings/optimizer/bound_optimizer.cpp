#include "optimizer/bound_optimizer.hpp"
#include "optimizer/dict_updates.hpp"

#include <algorithm>
#include <utility>

#include "adamcore/rule_registry.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "runtime/room.hpp"
#include "state/layout.hpp"

namespace adamcore::python {

BoundOptimizer::Lender::Lender(std::size_t parameter, const py::object& given)
    : tensor(parameter),
      array(given),
      type(TensorType::of(given)),
      pointer(data_pointer(given)),
      counts_writes(python::counts_writes(given)) {}

BoundOptimizer::BoundOptimizer(std::string owner, Options options) : groups_(std::move(owner)), options_(options) {}

void BoundOptimizer::add_group(const py::list& param_groups, const py::dict& group, const py::object& source,
                               const py::list& names, const std::vector<std::string>& labels,
                               const std::vector<std::string>& keys, const py::object& tree,
                               const py::tuple& variant_keys, const py::function& variant) {
    const Exclusive exclusive(use_, owner());
    const auto structure = std::make_shared<const Tree>(read_tree(tree, size()));
    Groups::Candidate candidate = groups_.look_at(group, variant_keys, variant, count_completed());
    Addition added{group["params"], exact_names(names), labels, std::move(candidate)};
    names_->require_new(added.names, labels);
    const std::unique_ptr<Binding> binding = bind(added);
    require_apart(added);
    binding->start(initials_of(added.group.group));
    added.containers = Containers::look_at(group, source, structure);

    make_room(added);
    binding->make_room();
    names_->add(added.names, labels, keys, structure, param_groups, group);
    binding->commit();
    commit(std::move(added));
}

void BoundOptimizer::describe(const std::vector<ArrayView>& views, const std::vector<const void*>& memory_owners,
                              Addition& added) const {
    std::size_t axes = 0;
    for (const ArrayView& view : views) axes += 2 * static_cast<std::size_t>(view.ndim);
    added.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = added.axes.get();
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        Form form;
        form.shape = {view.ndim, next_axes, view.is_complex};
        // Where there are no elements, strides say nothing, and the parts of complex numbers must come last.
        const bool in_c_order = options_.counts_in_c_order() || (view.is_complex && view.size == 0);
        form.order = in_c_order ? c_order(view.ndim) : memory_order(view);
        if (added.heir_of) {
            const Form& old = added.heir_of->forms_[added.heir_from + i];
            const Dtype old_dtype = added.heir_of->tensor_at(added.heir_from + i).dtype;
            require_shape(view, old.shape, old_dtype, added.labels[i], "the array that it replaces");
            form.order = old.order;
        }
        next_axes = std::copy(view.shape, view.shape + view.ndim, next_axes);
        next_axes = std::copy(view.strides, view.strides + view.ndim, next_axes);

        Tensor tensor;
        tensor.param = view.data;
        tensor.size = view.size;
        tensor.step = 0;
        tensor.first = all_rules()[added.group.group.rule].begins ? 1 : Tensor::never;
        tensor.group = static_cast<std::int32_t>(groups_.size());
        tensor.dtype = tensor.grad_dtype = view.dtype;
        tensor.state_dtype = view.is_complex ? view.dtype : options_.state_of(view.dtype);
        tensor.weights = options_.weights_of(view.dtype);
        tensor.state_rounding = options_.state_rounding;
        tensor.number = name_hash(added.names[i].cast<std::string>());
        added.tensors.push_back(tensor);
        added.forms.push_back(std::move(form));
        added.regions.add(region_of(view, static_cast<std::int64_t>(size() + i)), memory_owners[i]);
    }
}

void BoundOptimizer::add_state(Addition& added) {
    if (added.heir_of) {
        inherit_state(added);
    } else {
        const RuleInfo& rule = all_rules()[added.group.group.rule];
        StateBlock block = allocate_state(added.tensors, slots_of(rule), Extras::with, added.labels);
        if (block.keeper) added.blocks.push_back(std::move(block));
        for (std::size_t i = 0; i < added.forms.size(); ++i)
            std::copy(std::begin(added.tensors[i].state), std::end(added.tensors[i].state),
                      added.forms[i].state.begin());
        added.kept.rule = added.group.group.rule;
        added.kept.begins = rule.begins;
        for (const rule::Slot& slot : slots_of(rule)) added.kept.slots.push_back({slot});
        added.started = added.tensors;
    }
    for (const StateBlock& block : added.blocks)
        added.regions.add({block.address, block.address + block.size, -1, nullptr}, block.keeper.ptr());
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
    python::make_room(kept_, 1);
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
    groups_.add(std::move(added.group));
    kept_.push_back(std::move(added.kept));
    blocks_.push_back(std::move(added.blocks));
    containers_.add(std::move(added.containers));
    regions_.commit(std::move(added.regions));
}

py::tuple BoundOptimizer::snapshot() {
    const Exclusive exclusive(use_, owner());
    const Counts found = counts();
    const StateChange now = state_as_it_is();
    std::vector<bool> begins(size());
    for (std::size_t i = 0; i < size(); ++i) begins[i] = kept_[static_cast<std::size_t>(tensor_at(i).group)].begins;
    const auto [state, copies] = make_snapshot(state_arrays(now), found.tensors, begins, *names_);
    save(copies);
    return py::make_tuple(state, found.completed);
}

void BoundOptimizer::restore(const py::list& values, const py::object& state, std::int64_t completed,
                             const py::function& to_numpy, const std::vector<std::string>& rules,
                             const std::vector<std::string>& family, bool checked, const py::list& memories) {
    const Exclusive exclusive(use_, owner());
    std::vector<std::size_t> possible;
    for (const std::string& rule : family) possible.push_back(rule_index(rule));
    std::vector<RuleSlots> wanted;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
        const auto [begin, end] = members(group);
        wanted.push_back(saved_slots(state, *names_, begin, end, rule_index(rules.at(group)), possible));
    }
    StateChange change = take_slots(wanted, possible);
    const StateArrays arrays = state_arrays(change);
    Checkpoint checkpoint = read_checkpoint(state, arrays, *names_, regions_, to_numpy, checked);
    for (std::size_t i = 0; i < size(); ++i)
        checkpoint.progress[i].has_begun &= change.kept[static_cast<std::size_t>(tensor_at(i).group)].begins;
    DictUpdates updates(containers_.dicts(), values), memory_updates(memories);
    load(copies_of(checkpoint, arrays), {checkpoint.progress, completed});
    commit(std::move(change));
    updates.apply();
    memory_updates.apply();
    loaded();
}

py::list BoundOptimizer::forms() const {
    use_.require_idle(owner());
    py::list all;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
        const auto [begin, end] = members(group);
        py::list labels, keys;
        for (std::size_t i = begin; i < end; ++i) {
            labels.append(names_->label(i));
            keys.append(names_->grad_key(i));
        }
        const Watching& watching = containers_.source_of(group);
        py::object tree = write_tree(watching.tree->root), source = py::none();
        if (watching.container) source = watching.container;
        if (names_->tree()) {  // after rebind() the container may have another structure than gradients
            const py::object of_grads = write_tree(names_->tree()->root);
            if (!of_grads.equal(tree)) source = py::none();
            tree = of_grads;
        }
        all.append(py::make_tuple(labels, keys, tree, source));
    }
    return all;
}

ArrayView BoundOptimizer::view_of_param(const Tensor& tensor, const Form& form) {
    const ShapeAndStrides& shape = form.shape;
    return {static_cast<char*>(tensor.param),
            tensor.size,
            tensor.dtype,
            shape.ndim,
            shape.shape(),
            shape.strides(),
            shape.is_complex};
}

std::vector<StateArray> BoundOptimizer::state_arrays(std::size_t i) const {
    const Form& form = forms_.at(i);
    return state_arrays(i, kept_[static_cast<std::size_t>(tensor_at(i).group)], form.state);
}

std::vector<StateArray> BoundOptimizer::state_arrays(std::size_t i, const KeptSlots& kept,
                                                     const SlotArrays& arrays) const {
    RuleSlots slots;
    SlotArrays data{};
    for (std::size_t k = 0; k < kept.slots.size(); ++k) {
        if (!kept.slots[k].exists) continue;
        data[slots.size()] = arrays[k];
        slots.push_back(kept.slots[k].slot);
    }
    return arrays_of(tensor_at(i), slots, data, forms_[i].shape, forms_[i].order);
}

StateArrays BoundOptimizer::state_arrays(const StateChange& change) const {
    StateArrays arrays;
    arrays.reserve(size());
    for (std::size_t i = 0; i < size(); ++i)
        arrays.push_back(state_arrays(i, change.kept[static_cast<std::size_t>(tensor_at(i).group)], change.arrays[i]));
    return arrays;
}

void BoundOptimizer::require_apart(const ArrayView& grad, const void* memory_owner, const std::string& label) const {
    const auto region = regions_.find_overlap(region_of(grad, -1), memory_owner);
    if (!region) return;
    throw py::value_error(
        label + ": shares memory with " +
        (region->tensor < 0 ? "the optimizer's state" : names_->label(static_cast<std::size_t>(region->tensor))) +
        ", which the step modifies; pass a copy");
}

void BoundOptimizer::refuse_moved(std::size_t i, const char* by) const {
    throw py::value_error(names_->label(i) +
                          ": the array's memory has moved since the optimizer was made (for example by " + by + ")");
}

void BoundOptimizer::require_lenders_in_place() const {
    constexpr std::size_t ahead = 8;  // tensors are scattered in memory
    for (std::size_t k = 0; k < lenders_.size(); ++k) {
        const Lender& lender = lenders_[k];
        if (k + ahead < lenders_.size() && lender.type) TensorType::prefetch(lenders_[k + ahead].array.ptr());
        const Tensor& tensor = tensor_at(lender.tensor);
        if (!tensor.grad) continue;
        TensorType::Description found;
        const bool is_there = !lender.type ? data_pointer(lender.array) == lender.pointer
                                           : lender.type->describe(lender.array, found) &&
                                                 reinterpret_cast<std::uintptr_t>(found.tensor.data) == lender.pointer;
        if (!is_there) refuse_moved(lender.tensor, "set_() or p.data = ...");
        const ShapeAndStrides& form = forms_[lender.tensor].shape;
        if (!lender.type ||
            is_like(found.tensor, {tensor.dtype, form.is_complex}, form.own_ndim(), form.shape(), form.strides()))
            continue;
        throw py::value_error(names_->label(lender.tensor) +
                              ": the array has been given another dtype, another shape or other strides since the "
                              "optimizer was made; make a new optimizer for it");
    }
}

py::object BoundOptimizer::written() const {
    const auto is_written = [&](const Lender& lender) { return lender.counts_writes && tensor_at(lender.tensor).grad; };
    const auto count = std::count_if(lenders_.begin(), lenders_.end(), is_written);
    if (count == 0) return {};
    if (all_written_ && PyList_GET_SIZE(all_written_.ptr()) == count) return all_written_;
    py::list arrays(static_cast<std::size_t>(count));
    Py_ssize_t next = 0;
    for (const Lender& lender : lenders_) {
        if (is_written(lender)) PyList_SET_ITEM(arrays.ptr(), next++, py::object(lender.array).release().ptr());
    }
    const auto counting = [](const Lender& lender) { return lender.counts_writes; };
    if (count == std::count_if(lenders_.begin(), lenders_.end(), counting)) all_written_ = arrays;
    return std::move(arrays);
}

int BoundOptimizer::traverse_shared(visitproc visit, void* arg) const {
    Py_VISIT(all_written_.ptr());
    for (const Lender& lender : lenders_) Py_VISIT(lender.array.ptr());
    if (const int stop = groups_.traverse(visit, arg)) return stop;
    return containers_.traverse(visit, arg);
}

void BoundOptimizer::clear_shared() noexcept {
    std::vector<Form>().swap(forms_);
    std::vector<KeptSlots>().swap(kept_);
    regions_.clear();
    if (names_.use_count() == 1) names_->clear();  // reports may still read names
    const auto lenders = std::move(lenders_);
    const auto written = std::move(all_written_);
    const auto readers = groups_.release();
    const auto containers = std::exchange(containers_, {});
}

}  // namespace adamcore::python

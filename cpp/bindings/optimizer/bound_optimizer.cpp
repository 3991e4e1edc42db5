#include "optimizer/bound_optimizer.hpp"

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

BoundOptimizer::BoundOptimizer(std::string owner, Options options)
    : groups_(std::move(owner)), options_(std::move(options)) {}

std::int64_t BoundOptimizer::accumulated() const {
    use_.require_readable(owner());
    return window_.leaves();
}

py::dict BoundOptimizer::numbers() {
    use_.require_readable(owner());
    return saved_numbers(number_names(), shared_numbers());
}

std::vector<const char*> BoundOptimizer::number_names() const {
    if (groups_.size() == 0) return {};
    const RuleInfo& rule = all_rules()[groups_[0].rule];
    return {rule.numbers, rule.numbers + rule.number_count};
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
    return state_arrays(i, kept_[cohort_of(tensor_at(i))], form.state);
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
        arrays.push_back(state_arrays(i, change.kept[cohort_of(tensor_at(i))], change.arrays[i]));
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

void BoundOptimizer::require_lenders_in_place(bool all) const {
    constexpr std::size_t ahead = 8;  // tensors are scattered in memory
    for (std::size_t k = 0; k < lenders_.size(); ++k) {
        const Lender& lender = lenders_[k];
        if (k + ahead < lenders_.size() && lender.type) TensorType::prefetch(lenders_[k + ahead].array.ptr());
        const Tensor& tensor = tensor_at(lender.tensor);
        if (!tensor.grad && !all) continue;
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

py::object BoundOptimizer::written(bool all) const {
    const auto is_written = [&](const Lender& lender) {
        return lender.counts_writes && (all || tensor_at(lender.tensor).grad);
    };
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

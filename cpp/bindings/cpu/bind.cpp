// How an optimizer comes to its parameters: a group is checked whole, then bound, and its state allocated.

#include <algorithm>

#include "adamcore/state_rounding.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "optimizer/state_layout.hpp"
#include "runtime/memory_error.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

template <class T>
void fill(T* data, std::int64_t count, double value, [[maybe_unused]] bool is_square) {
    if constexpr (sizeof(T) == 2) {
        std::fill(data, data + count, state::encode<T>(static_cast<float>(value), is_square, false, 0));
    } else {
        std::fill(data, data + count, static_cast<T>(value));
    }
}

}  // namespace

/// A group that is being added: nothing of the optimizer has changed yet.
struct Optimizer::Addition {
    std::vector<py::object> arrays;  ///< NumPy's
    std::vector<Tensor> tensors;
    std::vector<Bound> bound;
    std::vector<Form> forms;
    std::vector<Lender> lenders;
    Regions::Addition regions;
    GroupMemory memory;
    Containers::Group containers;
    std::optional<Groups::Candidate> group;
};

void Optimizer::add_group(const py::list& param_groups, const py::dict& group, const py::object& source,
                          const py::list& names, const std::vector<std::string>& labels,
                          const std::vector<std::string>& keys, const py::tuple& variant_keys,
                          const py::function& variant) {
    const Exclusive exclusive(use_, groups_.owner());
    Addition added;
    added.group = groups_.look_at(group, variant_keys, variant, completed_);
    const std::vector<py::str> exact = exact_names(names);
    names_.require_new(exact, labels);
    const auto params = py::reinterpret_borrow<py::list>(group["params"]);
    take_params(params, labels, added);
    bind_params(exact, labels, added);
    bind_state(added.group->group, labels, added);
    regions_.check(added.regions, [&](std::int64_t tensor) {
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? names_.label(i) : labels[i - size()];
    });
    start_weights(added);
    added.containers = Containers::look_at(group, source, size());

    make_room(tensors_, added.tensors.size());
    make_room(bound_, added.tensors.size());
    make_room(forms_, added.tensors.size());
    make_room(lenders_, added.lenders.size());
    active_.reserve(tensors_.capacity());
    make_room(memory_, 1);
    containers_.make_room();
    groups_.make_room();
    names_.add(exact, labels, keys, param_groups, group);
    commit(std::move(added));
}

void Optimizer::commit(Addition&& added) noexcept {
    for (const Tensor& tensor : added.tensors) {
        tensors_.push_back(tensor);
        elements_ += tensor.size;
        descrs_[static_cast<std::size_t>(tensor.dtype)] = usual_descr(tensor.dtype);
    }
    std::move(added.bound.begin(), added.bound.end(), std::back_inserter(bound_));
    std::move(added.forms.begin(), added.forms.end(), std::back_inserter(forms_));
    std::move(added.lenders.begin(), added.lenders.end(), std::back_inserter(lenders_));
    groups_.add(std::move(*added.group));
    memory_.push_back(std::move(added.memory));
    containers_.add(std::move(added.containers));
    regions_.commit(std::move(added.regions));
    if (has_checked_) {  // not against the new parameters
        for (Bound& each : bound_) each.checked_grad = nullptr;
        has_checked_ = false;
    }
    planned_threads_ = 0;
}

/// All that may run the code of an array's class, for all arrays, before the memory of any is looked at.
void Optimizer::take_params(const py::list& params, const std::vector<std::string>& labels, Addition& added) const {
    for (std::size_t i = 0; i < params.size(); ++i) {
        const py::object given = params[i];
        py::object array = as_numpy(given, Access::write, labels[i]);
        if (!given.is(array)) added.lenders.push_back({size() + i, given, data_pointer(given), counts_writes(given)});
        auto pin = py::reinterpret_steal<py::object>(PyWeakref_NewRef(array.ptr(), nullptr));
        if (!pin) throw py::error_already_set();
        added.memory.pins.push_back(std::move(pin));
        added.arrays.push_back(std::move(array));
    }
}

void Optimizer::bind_params(const std::vector<py::str>& names, const std::vector<std::string>& labels,
                            Addition& added) const {
    std::vector<ArrayView> views;
    std::size_t axes = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        views.push_back(view_of(added.arrays[i], Access::write, labels[i]));
        require_fit(options_, views.back().dtype, labels[i]);
        axes += 2 * static_cast<std::size_t>(views.back().ndim);
    }
    added.memory.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = added.memory.axes.get();
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        Form form;
        form.shape = {view.ndim, next_axes};
        form.order = options_.counts_in_c_order() ? c_order(view.ndim) : memory_order(view);
        next_axes = std::copy(view.shape, view.shape + view.ndim, next_axes);
        next_axes = std::copy(view.strides, view.strides + view.ndim, next_axes);

        Tensor tensor;
        tensor.param = view.data;
        tensor.size = view.size;
        tensor.step = 0;
        tensor.group = static_cast<std::int32_t>(groups_.size());
        tensor.dtype = view.dtype;
        tensor.state_dtype = options_.state_of(view.dtype);
        tensor.weights = options_.weights_of(view.dtype);
        tensor.state_rounding = options_.state_rounding;
        tensor.number = number_of(names[i].cast<std::string>());
        Bound bound;
        bound.param = added.arrays[i];
        expect(tensor, bound, form, view, view);
        added.regions.add(region_of(view, static_cast<std::int64_t>(size() + i)), owner_of(bound.param.ptr()));
        added.tensors.push_back(tensor);
        added.forms.push_back(std::move(form));
        added.bound.push_back(std::move(bound));
    }
}

void Optimizer::bind_state(const Group& group, const std::vector<std::string>& labels, Addition& added) const {
    const RuleInfo& info = all_rules()[group.rule];
    Slab::Measure measure;
    const auto nothing = [](std::size_t, std::size_t) {};
    std::size_t largest = 0, most = 0;
    for (std::size_t i = 0; i < added.tensors.size(); ++i) {
        const std::size_t before = measure.total();
        lay_state_out(
            added.tensors[i], info.slot_count, [&](std::size_t bytes) { return measure.add(bytes); }, nothing, nothing);
        if (measure.total() - before > most) largest = i, most = measure.total() - before;
    }
    if (measure.total() == 0) return;
    try {
        added.memory.state = std::make_shared<Slab>(measure.total());
    } catch (const std::bad_alloc&) {
        throw_memory_error(groups_.owner() + ": no memory for the state of " + std::to_string(labels.size()) +
                           (labels.size() == 1 ? " parameter, " : " parameters, ") + size_text(measure.total()) +
                           "; the most, " + size_text(most) + ", is " + labels[largest] + "'s");
    }
    std::byte* const data = added.memory.state->data();
    Slab::Measure again;
    for (Tensor& tensor : added.tensors) {
        const auto set = [&](std::size_t slot, std::size_t place) {
            tensor.state[slot] = data + place;
            const double value = info.initial(group.hyper, slot);
            if (value == 0) return;
            const bool is_square = info.slots[slot].nonnegative;
            visit(tensor.state_dtype,
                  [&](auto x) { fill(static_cast<decltype(x)*>(tensor.state[slot]), tensor.size, value, is_square); });
        };
        lay_state_out(
            tensor, info.slot_count, [&](std::size_t bytes) { return again.add(bytes); }, set,
            [&](std::size_t i, std::size_t place) { tensor.extra[i] = data + place; });
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    added.regions.add({begin, begin + added.memory.state->size(), -1, nullptr}, added.memory.state.get());
}

/// Master weights begin as the parameters; remainders and compensations as zero.
void Optimizer::start_weights(const Addition& added) {
    for (std::size_t i = 0; i < added.tensors.size(); ++i) {
        const Tensor& tensor = added.tensors[i];
        if (tensor.weights != Weights::master) continue;
        auto* master = static_cast<float*>(tensor.extra[0]);
        const Axes axes = tensor.layout ? tensor.layout->param : Axes{};
        visit(tensor.dtype, [&](auto x) {
            using Stored = decltype(x);
            for_each_run(axes, sizeof(Stored), 0, tensor.size,
                         [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
                             const char* from = static_cast<const char*>(tensor.param) + offset;
                             for (std::int64_t k = 0; k < count; ++k)
                                 *master++ = static_cast<float>(
                                     storage::decode(*reinterpret_cast<const Stored*>(from + k * stride)));
                         });
        });
    }
}

/// All that can fail comes first.
void Optimizer::expect(Tensor& tensor, Bound& bound, const Form& form, const ArrayView& param, const ArrayView& grad) {
    const bool like_param = std::equal(grad.strides, grad.strides + grad.ndim, form.shape.strides());
    PyObject* const descr = usual_descr(grad.dtype);
    auto layout = layout_of(param, grad, form.order);
    Walk in_c_order(grad, c_order(grad.ndim));
    std::unique_ptr<Unusual> unusual;
    if (!like_param || layout || !in_c_order.is_dense()) {
        unusual = std::make_unique<Unusual>();
        unusual->axes.assign(grad.shape, grad.shape + grad.ndim);
        unusual->axes.insert(unusual->axes.end(), grad.strides, grad.strides + grad.ndim);
        unusual->layout = std::move(layout);
        unusual->in_c_order = std::move(in_c_order);
    }
    tensor.grad_dtype = grad.dtype;
    tensor.layout = unusual && unusual->layout ? &unusual->layout->layout : nullptr;
    bound.descr = descr;
    bound.expected = unusual ? ShapeAndStrides{grad.ndim, unusual->axes.data()} : form.shape;
    bound.unusual = std::move(unusual);
}

}  // namespace adamcore::python

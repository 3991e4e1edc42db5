// How an optimizer comes to its parameters: a group is checked whole, then bound, and its state allocated.

#include <algorithm>

#include "adamcore/storage.hpp"
#include "exclusive.hpp"
#include "foreign.hpp"
#include "kept.hpp"
#include "optimizer.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

template <class T>
void fill(T* data, std::int64_t count, double value) {
    if constexpr (sizeof(T) == 2) {
        std::fill(data, data + count, storage::encode<T>(static_cast<float>(value)));
    } else {
        std::fill(data, data + count, static_cast<T>(value));
    }
}

}  // namespace

/// The parameters of a group that is being added: nothing of the optimizer has changed yet.
struct Optimizer::Addition {
    std::vector<Tensor> tensors;
    std::vector<Bound> bound;
    std::vector<Form> forms;
    std::vector<Lender> lenders;
    Regions regions;  ///< the optimizer's, and these parameters'
};

void Optimizer::add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                          const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                          const py::tuple& variant_keys, const py::function& variant) {
    const Exclusive exclusive(busy_, groups_.owner());
    Groups::Candidate group = groups_.look_at(hyper, variant_keys, variant, completed_);
    GroupMemory memory;
    Addition added;
    names_.require_new(names, labels);
    bind_params(params, names, labels, added, memory);
    added.regions.require_apart([&](std::int64_t tensor) {
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? names_.label(i) : labels[i - size()];
    });
    bind_state(group.group, added.tensors, memory);
    start_weights(added);
    if (const Slab* state = memory.state.get()) {
        const auto begin = reinterpret_cast<std::uintptr_t>(state->data());
        added.regions.add({begin, begin + state->size(), -1, nullptr}, state);
        added.regions.sort();
    }

    tensors_.insert(tensors_.end(), added.tensors.begin(), added.tensors.end());
    std::move(added.bound.begin(), added.bound.end(), std::back_inserter(bound_));
    forms_.insert(forms_.end(), added.forms.begin(), added.forms.end());
    std::move(added.lenders.begin(), added.lenders.end(), std::back_inserter(lenders_));
    groups_.add(std::move(group));
    memory_.push_back(std::move(memory));
    names_.add(names, labels, keys);
    regions_ = std::move(added.regions);
    for (Bound& each : bound_) each.checked_grad = nullptr;  // not against the new parameters
    planned_threads_ = 0;
}

void Optimizer::bind_params(const py::list& params, const std::vector<std::string>& names,
                            const std::vector<std::string>& labels, Addition& added, GroupMemory& memory) const {
    std::vector<ArrayView> views;
    std::size_t axes = 0;
    std::vector<py::object> arrays;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const std::string& label = labels[i];
        const py::object given = params[i];
        arrays.push_back(as_numpy(given, Access::write, label));
        views.push_back(view_of(arrays.back(), Access::write, label));
        if (!given.is(arrays.back())) added.lenders.push_back({size() + i, given, data_pointer(given)});
        require_fit(options_, views.back().dtype, label);
        axes += 2 * static_cast<std::size_t>(views.back().ndim);
    }
    memory.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = memory.axes.get();
    added.regions = regions_;
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        const auto place = static_cast<std::int64_t>(size() + i);
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
        tensor.number = number_of(names[i]);
        Bound bound;
        bound.param = arrays[i];
        memory.pins.push_back(py::reinterpret_steal<py::object>(PyWeakref_NewRef(bound.param.ptr(), nullptr)));
        if (!memory.pins.back()) throw py::error_already_set();
        expect(tensor, bound, form, view, view);
        added.regions.add(Regions::region_of(view, bound.param, place), owner_of(bound.param.ptr()));
        added.tensors.push_back(tensor);
        added.forms.push_back(std::move(form));
        added.bound.push_back(std::move(bound));
    }
    added.regions.sort();
}

void Optimizer::bind_state(const Group& group, std::vector<Tensor>& tensors, GroupMemory& memory) {
    const RuleInfo& info = all_rules()[group.rule];
    Slab::Measure measure;
    const auto nothing = [](std::size_t, std::size_t) {};
    for (const Tensor& tensor : tensors)
        lay_state_out(
            tensor, info.slot_count, [&](std::size_t bytes) { return measure.add(bytes); }, nothing, nothing);
    if (measure.total() == 0) return;
    memory.state = std::make_shared<Slab>(measure.total());
    std::byte* const data = memory.state->data();
    Slab::Measure again;
    for (Tensor& tensor : tensors) {
        const auto set = [&](std::size_t slot, std::size_t place) {
            tensor.state[slot] = data + place;
            const double value = info.initial(group.hyper, slot);
            if (value == 0) return;
            visit(tensor.state_dtype,
                  [&](auto x) { fill(static_cast<decltype(x)*>(tensor.state[slot]), tensor.size, value); });
        };
        lay_state_out(
            tensor, info.slot_count, [&](std::size_t bytes) { return again.add(bytes); }, set,
            [&](std::size_t i, std::size_t place) { tensor.extra[i] = data + place; });
    }
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

void Optimizer::expect(Tensor& tensor, Bound& bound, const Form& form, const ArrayView& param, const ArrayView& grad) {
    const bool like_param = std::equal(grad.strides, grad.strides + grad.ndim, form.shape.strides());
    auto layout = layout_of(param, grad, form.order);
    Walk in_c_order(grad, c_order(grad.ndim));
    tensor.grad_dtype = grad.dtype;
    bound.descr = usual_descr(grad.dtype);
    bound.expected = form.shape;
    bound.unusual.reset();
    tensor.layout = nullptr;
    if (like_param && !layout && in_c_order.is_dense()) return;
    bound.unusual = std::make_unique<Unusual>();
    Unusual& unusual = *bound.unusual;
    unusual.axes.assign(grad.shape, grad.shape + grad.ndim);
    unusual.axes.insert(unusual.axes.end(), grad.strides, grad.strides + grad.ndim);
    unusual.layout = std::move(layout);
    unusual.in_c_order = std::move(in_c_order);
    bound.expected = {grad.ndim, unusual.axes.data()};
    tensor.layout = unusual.layout ? &unusual.layout->layout : nullptr;
}

}  // namespace adamcore::python

// How the CPU optimizer binds parameters: first they are checked, then their state is allocated, and only then is the
// group added.

#include <algorithm>

#include "adamcore/cpu/element_passes.hpp"
#include "adamcore/cpu/norm.hpp"
#include "adamcore/optimizer/slab.hpp"
#include "adamcore/optimizer/start.hpp"
#include "adamcore/rule_registry.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "runtime/gil.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
struct HostOptimizer::GroupBinding : Binding {
    GroupBinding(HostOptimizer& of, Addition& added_) : optimizer(of), added(added_) {
        take_params();
        bind_params();
        optimizer.add_state(added);
    }

    void start() override {
        for (const Started& each : added.started) optimizer.start_state(each);
    }

    void make_room() override {
        python::make_room(optimizer.tensors_, added.tensors.size());
        python::make_room(optimizer.bound_, bound.size());
        optimizer.active_.reserve(optimizer.tensors_.capacity());
        python::make_room(optimizer.pins_, pins.size());
    }

    void commit() noexcept override {
        for (std::size_t i = 0; i < added.tensors.size(); ++i) {
            const Tensor& tensor = added.tensors[i];
            const Element element{tensor.dtype, added.forms[i].shape.is_complex};
            optimizer.tensors_.push_back(tensor);
            optimizer.elements_ += tensor.size;
            optimizer.descrs_[place_of(element)] = usual_descr(element);
        }
        std::move(bound.begin(), bound.end(), std::back_inserter(optimizer.bound_));
        std::move(pins.begin(), pins.end(), std::back_inserter(optimizer.pins_));
        optimizer.forget_checked();  // earlier checks did not include the new parameters
        optimizer.planned_threads_ = 0;
    }

private:
    /// Runs everything that may run code of an array's class, for all arrays, before the memory of any array is
    /// examined.
    void take_params() {
        for (std::size_t i = 0; i < added.labels.size(); ++i) {
            const py::object given = added.params[i];
            py::object array = as_numpy(given, Access::write, added.labels[i]);
            if (!given.is(array)) added.lenders.emplace_back(optimizer.size() + i, given);
            auto pin = py::reinterpret_steal<py::object>(PyWeakref_NewRef(array.ptr(), nullptr));
            if (!pin) throw py::error_already_set();
            pins.push_back(std::move(pin));
            arrays.push_back(std::move(array));
        }
    }

    void bind_params() {
        std::vector<ArrayView> views;
        std::vector<const void*> owners;
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            views.push_back(view_of(arrays[i], Access::write, added.labels[i]));
            if (!views.back().is_complex) require_fit(optimizer.options_, views.back().dtype, added.labels[i]);
            owners.push_back(owner_of(arrays[i].ptr()));
        }
        optimizer.describe(views, owners, added);
        for (std::size_t i = 0; i < views.size(); ++i) {
            Bound each;
            each.param = arrays[i];
            each.is_lent = !arrays[i].is(added.params[i]);
            expect(added.tensors[i], each, added.forms[i], views[i], views[i]);
            bound.push_back(std::move(each));
        }
    }

    HostOptimizer& optimizer;
    Addition& added;
    std::vector<py::object> arrays;  // NumPy arrays
    std::vector<Bound> bound;
    std::vector<py::object> pins;
};

std::unique_ptr<BoundOptimizer::Binding> HostOptimizer::bind(Addition& added) {
    return std::make_unique<GroupBinding>(*this, added);
}

StateBlock HostOptimizer::allocate_state(std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots,
                                         const std::vector<std::string>& labels) {
    Slab::Measure measure;
    const StateLayout layout(tensors, slots,
                             [&](const Tensor&, const StateSlot& slot) { return measure.add(slot.bytes); });
    if (measure.total() == 0) return {};
    std::unique_ptr<Slab> slab;
    try {
        slab = std::make_unique<Slab>(measure.total());
    } catch (const std::bad_alloc&) {
        const auto [tensor, most] = layout.largest();
        const std::size_t count = labels.size();
        const std::string message = owner() + ": no memory for the state of " + std::to_string(count) +
                                    (count == 1 ? " parameter, " : " parameters, ") + size_text(measure.total()) +
                                    "; the most, " + size_text(most) + ", is " + labels[tensor] + "'s";
        PyErr_SetString(PyExc_MemoryError, message.c_str());
        throw py::error_already_set();
    }
    layout.point_into(slab->data(), tensors);
    const auto address = reinterpret_cast<std::uintptr_t>(slab->data());
    const std::size_t size = slab->size();
    const py::capsule keeper(slab.get(), [](void* p) { delete static_cast<Slab*>(p); });
    (void)slab.release();
    return {keeper, address, size};
}

void HostOptimizer::start_state(const Started& started) {
    for (const Tensor& tensor : started.tensors) {
        for (std::size_t slot = 0; slot < started.initials.size(); ++slot)
            start_slot(tensor, started.initials[slot], tensor.state[slot], slot < started.fresh);
        start_master(tensor);
    }
}

void HostOptimizer::rescale(const std::vector<Rescaling>& rescalings) {
    std::vector<std::vector<norm::Reading>> arrays;
    std::size_t most = 0;
    for (const Rescaling& each : rescalings) {
        arrays.emplace_back();
        for (const Rescaling::Array& array : each.arrays)
            arrays.back().push_back({array.data, array.size, array.dtype, {}});
        most = std::max(most, each.arrays.size());
    }
    std::vector<std::int64_t> first_leaf(most + 1);
    plan::Cut cuts[cpu::max_parts + 1];
    const GilRelease release;
    for (std::size_t k = 0; k < rescalings.size(); ++k) {
        const auto count = static_cast<std::int64_t>(arrays[k].size());
        const int parts = cpu::plan_norm(arrays[k].data(), count, pool().size(), cuts, first_leaf.data());
        cpu::rescale(kernels(), arrays[k].data(), cuts, parts, pool(), rescalings[k].factor, Treatment::no_limit,
                     rescalings[k].degree == 2);
    }
}

void HostOptimizer::run_weight_pass(std::size_t pass, const std::vector<Tensor>& tensors,
                                    const std::vector<double>& shares) {
    const GilRelease release;
    cpu::run_weight_pass(kernels(), pass, shares.data(), tensors.data(), static_cast<std::int64_t>(tensors.size()),
                         pool(), options_.seed);
}

std::unique_ptr<BoundOptimizer> HostOptimizer::make_like() const {
    return std::make_unique<HostOptimizer>(owner(), options_);
}

void HostOptimizer::convert(const std::vector<Conversion>& conversions) const {
    for (const Conversion& each : conversions)
        convert_state(each.to, each.to_dtype, each.from, each.from_dtype, each.size);
}

void HostOptimizer::adopt(BoundOptimizer& other) noexcept {
    auto& from = static_cast<HostOptimizer&>(other);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
        from.tensors_[i].step = tensors_[i].step;
        from.tensors_[i].first = tensors_[i].first;
    }
    tensors_.swap(from.tensors_);
    bound_.swap(from.bound_);
    pins_.swap(from.pins_);
    active_.swap(from.active_);
    descrs_ = from.descrs_;
    sum_forms_.clear();
    has_checked_ = false;
    planned_threads_ = 0;
}

void HostOptimizer::use_state(std::size_t i, const SlotArrays& state, bool begins) noexcept {
    Tensor& tensor = tensors_[i];
    std::copy(state.begin(), state.end(), tensor.state);
    if (!tensor.has_begun()) tensor.first = begins ? tensor.step + 1 : Tensor::never;
    planned_threads_ = 0;  // steps have other traffic now
}

void HostOptimizer::forget_checked() noexcept {
    if (!has_checked_) return;
    for (Bound& each : bound_) each.checked_grad = nullptr;
    for (SumForm& each : sum_forms_) each.form.checked_grad = nullptr;
    has_checked_ = false;
}

/// Everything that can fail comes first.
void HostOptimizer::expect(Tensor& tensor, GradForm& known, const Form& form, const ArrayView& param,
                           const ArrayView& grad) {
    const bool like_param = std::equal(grad.strides, grad.strides + grad.ndim, form.shape.strides());
    PyObject* const descr = usual_descr(grad.element());
    const Region region = region_of(grad, -1);
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
    known.descr = descr;
    known.grad_begin = static_cast<std::ptrdiff_t>(region.begin - reinterpret_cast<std::uintptr_t>(grad.data));
    known.grad_bytes = region.end - region.begin;
    known.expected = unusual ? ShapeAndStrides{grad.ndim, unusual->axes.data(), grad.is_complex} : form.shape;
    known.unusual = std::move(unusual);
}

}  // namespace adamcore::python

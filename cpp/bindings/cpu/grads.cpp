// How an optimizer takes its gradients: by order or by name, each held against its parameter.

#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/foreign.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

/// With thousands of small arrays, a step's time would go to waiting for their headers, which lie scattered: they are
/// asked for this many arrays before they are read, and the shape that a header points to half as many.
constexpr std::size_t ahead = 16;

/// A shape or strides that are set in place are looked for where there are so few parameters that it costs nothing: those
/// of thousands are cold, and a tenth of a step.
constexpr std::size_t few = 16;

/// How many a thread looks at before it takes the next of what is left.
constexpr std::size_t looked_at_once = 1024;

void prefetch([[maybe_unused]] const void* memory) {
#if defined(__GNUC__)
    __builtin_prefetch(memory);
#endif
}

void prefetch_header(PyObject* array) {
    prefetch(array);
    prefetch(reinterpret_cast<const char*>(array) + 64);
}

void prefetch_shape(PyObject* array) {
    if (Py_TYPE(array) == npy_api::get().PyArray_Type_) prefetch(array_proxy(array)->dimensions);
}

}  // namespace

/// The optimizer as Names::take sees it.
struct Optimizer::GradTaker : Names::Taker {
    explicit GradTaker(Optimizer& taker) : optimizer(taker) {}

    bool take_plainly(PyObject* const* grads) override { return optimizer.take_plain_sequence(grads); }
    bool take_plainly(std::size_t tensor, PyObject* grad) override { return optimizer.take_plainly(tensor, grad); }
    py::object prepare(std::size_t tensor, const py::object& grad, bool by_name) override {
        if (grad.is_none()) return grad;
        return as_numpy(grad, Access::read, optimizer.names_.grad_label(tensor, by_name));
    }
    void take(std::size_t tensor, const py::object& grad, bool by_name) override {
        optimizer.take_grad(tensor, grad, by_name);
    }
    bool is_wary() const override { return !optimizer.lenders_.empty(); }

    Optimizer& optimizer;
};

py::object Optimizer::take_grads(const py::object& grads, bool hold) {
    GradTaker taker(*this);
    has_checked_ = true;
    py::object held = names_.take(grads, groups_.size() > 1, taker, hold);
    require_lenders_in_place();
    return held;
}

bool Optimizer::take_plain_sequence(PyObject* const* grads) {
    // Looking at arrays without changing a reference count needs the GIL but not its holder: with thousands of small
    // ones, whose headers lie scattered, other threads look too.
    std::atomic<bool> all_plain{true};
    const auto look = [&](std::size_t begin, std::size_t end) noexcept {
        bool plain = true;
        for (std::size_t i = begin; i < end; ++i) {
            if (i + ahead < end) {
                prefetch_header(grads[i + ahead]);
                prefetch_header(bound_[i + ahead].param.ptr());
                prefetch_shape(grads[i + ahead / 2]);
            }
            plain &= take_plainly(i, grads[i]);
        }
        if (!plain) all_plain.store(false, std::memory_order_relaxed);
    };
    const std::size_t count = size();
    if (count < 2 * looked_at_once) {
        look(0, count);
    } else {
        const std::size_t parts = count / looked_at_once;
        pool().run(static_cast<int>(parts), [&](int part) noexcept {
            const auto at = static_cast<std::size_t>(part);
            look(at * count / parts, (at + 1) * count / parts);
        });
    }
    return all_plain;
}

void Optimizer::set_grad(std::size_t i, const void* grad) noexcept {
    Tensor& tensor = tensors_[i];
    if ((tensor.grad == nullptr) != (grad == nullptr)) planned_threads_.store(0, std::memory_order_relaxed);
    tensor.grad = grad;
}

bool Optimizer::take_plainly(std::size_t i, PyObject* grad) noexcept {
    if (grad == Py_None) {
        set_grad(i, nullptr);
        return true;
    }
    Bound& bound = bound_[i];
    if (!is_exactly_like(grad, bound.descr, bound.expected) || !is_same_param(i)) return false;
    const auto* proxy = array_proxy(grad);
    if (proxy->data != bound.checked_grad) {
        if (!(proxy->flags & npy_api::NPY_ARRAY_OWNDATA_) || !regions_.is_plainly_apart(grad)) return false;
        bound.checked_grad = proxy->data;
    }
    set_grad(i, proxy->data);
    return true;
}

void Optimizer::take_grad(std::size_t i, const py::object& array, bool by_name) {
    if (take_plainly(i, array.ptr())) return;
    require_same_param(i);
    const std::string label = names_.grad_label(i, by_name);
    const Form& form = forms_[i];
    const ArrayView view = view_of(array, Access::read, label);
    require_shape(view, form.shape.ndim, form.shape.shape(), label, names_.label(i));
    if (const auto region = regions_.find_overlap(region_of(view, -1), owner_of(array.ptr())))
        throw py::value_error(
            label + ": shares memory with " +
            (region->tensor < 0 ? "the optimizer's state" : names_.label(static_cast<std::size_t>(region->tensor))) +
            ", which the step writes; pass a copy");
    expect(tensors_[i], bound_[i], form, param_view(i), view);
    bound_[i].checked_grad = view.data;
    set_grad(i, view.data);
}

/// The parameter as it was bound.
ArrayView Optimizer::param_view(std::size_t i) const {
    const Tensor& tensor = tensors_[i];
    const ShapeAndStrides& shape = forms_[i].shape;
    return {static_cast<char*>(tensor.param), tensor.size, tensor.dtype, shape.ndim, shape.shape(), shape.strides()};
}

bool Optimizer::is_same_param(std::size_t i) const noexcept {
    const Bound& bound = bound_[i];
    const auto* proxy = array_proxy(bound.param.ptr());
    const Tensor& tensor = tensors_[i];
    return proxy->data == tensor.param && proxy->descr == descrs_[static_cast<std::size_t>(tensor.dtype)] &&
           (proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_) &&
           (size() > few || has_axes(bound.param.ptr(), forms_[i].shape));
}

void Optimizer::require_same_param(std::size_t i) const {
    if (is_same_param(i)) return;
    const Bound& bound = bound_[i];
    const auto* proxy = array_proxy(bound.param.ptr());
    const auto refuse = [&](const char* why) { throw py::value_error(names_.label(i) + why); };
    if (proxy->data != tensors_[i].param)
        refuse(": the array's memory has moved since the optimizer was made (by resize(), say)");
    if (!(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_))
        refuse(": the array has been made read-only and cannot be updated in place");
    const bool same_dtype = find_dtype(bound.param) == tensors_[i].dtype;
    if (!same_dtype || !has_axes(bound.param.ptr(), forms_[i].shape))
        refuse(same_dtype
                   ? ": the array has been given another shape or other strides in place since the optimizer was "
                     "made; make a new optimizer for it"
                   : ": the array has been given another dtype in place since the optimizer was made; make a new "
                     "optimizer for it");
}

py::object Optimizer::written() const {
    if (lenders_.empty()) return {};
    py::list arrays;
    for (const Lender& lender : lenders_) {
        if (lender.counts_writes && tensors_[lender.tensor].grad) arrays.append(lender.array);
    }
    return std::move(arrays);
}

void Optimizer::require_lenders_in_place() const {
    for (const Lender& lender : lenders_) {
        if (!tensors_[lender.tensor].grad || data_pointer(lender.array) == lender.pointer) continue;
        throw py::value_error(names_.label(lender.tensor) +
                              ": the array's memory has moved since the optimizer was made (by set_() or p.data = ..., "
                              "say)");
    }
}

}  // namespace adamcore::python

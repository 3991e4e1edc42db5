// How an optimizer takes its gradients: by order or by name, each checked against its parameter.

#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/foreign.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

/// With thousands of small arrays, most of a step would be spent waiting for their headers, which are scattered in
/// memory. So headers are prefetched this many arrays ahead, and the shape to which a header points half as many ahead.
constexpr std::size_t ahead = 16;

/// Shapes and strides that were changed in place are checked only if there are so few parameters that it costs nothing.
/// With thousands of parameters they are not in cache, and the check would take a tenth of the step.
constexpr std::size_t few = 16;

/// The number of gradients that a thread checks before it takes the next ones.
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

py::object HostOptimizer::prepare(std::size_t i, const py::object& grad, Names::By by) {
    if (grad.is_none()) return grad;
    if (forms_[i].shape.ndim == 0 && is_number(grad)) return array_of_number(grad);
    return as_numpy(grad, Access::read, names_->grad_label(i, by));
}

Names::Taken HostOptimizer::take_grads(const py::object& grads, bool hold) {
    has_checked_ = true;
    Names::Taken taken = names_->take(grads, *this, hold);
    require_lenders_in_place();
    return taken;
}

bool HostOptimizer::take_plainly(PyObject* const* grads) {
    // Looking at arrays without changing reference counts needs the GIL to be held, but not by the looking thread. With
    // thousands of small arrays, whose headers are scattered, other threads look too.
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

void HostOptimizer::set_grad(std::size_t i, const void* grad) noexcept {
    Tensor& tensor = tensors_[i];
    if ((tensor.grad == nullptr) != (grad == nullptr)) planned_threads_.store(0, std::memory_order_relaxed);
    tensor.grad = grad;
}

bool HostOptimizer::take_plainly(std::size_t i, PyObject* grad) noexcept {
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

void HostOptimizer::take(std::size_t i, const py::object& array, Names::By by) {
    if (take_plainly(i, array.ptr())) return;
    require_same_param(i);
    const std::string label = names_->grad_label(i, by);
    const Form& form = forms_[i];
    const ArrayView view = view_of(array, Access::read, label);
    require_shape(view, form.shape.ndim, form.shape.shape(), label, names_->label(i));
    require_apart(view, owner_of(array.ptr()), label);
    expect(tensors_[i], bound_[i], form, view_of_param(tensors_[i], form), view);
    bound_[i].checked_grad = view.data;
    set_grad(i, view.data);
}

bool HostOptimizer::is_same_param(std::size_t i) const noexcept {
    const Bound& bound = bound_[i];
    const auto* proxy = array_proxy(bound.param.ptr());
    const Tensor& tensor = tensors_[i];
    return proxy->data == tensor.param && proxy->descr == descrs_[static_cast<std::size_t>(tensor.dtype)] &&
           (proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_) &&
           (size() > few || has_axes(bound.param.ptr(), forms_[i].shape));
}

void HostOptimizer::require_same_param(std::size_t i) const {
    if (is_same_param(i)) return;
    const Bound& bound = bound_[i];
    const auto* proxy = array_proxy(bound.param.ptr());
    const auto refuse = [&](const char* why) { throw py::value_error(names_->label(i) + why); };
    if (proxy->data != tensors_[i].param) refuse_moved(i, "resize()");
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

}  // namespace adamcore::python

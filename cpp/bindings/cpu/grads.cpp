// How an optimizer takes its gradients: by order or by name, each checked against its parameter.

#include <algorithm>
#include <memory>

#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/foreign.hpp"
#include "runtime/prefetch.hpp"
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

void prefetch_shape(PyObject* array) {
    if (Py_TYPE(array) == npy_api::get().PyArray_Type_) prefetch_line(array_proxy(array)->dimensions);
}

/// Whether arrays may lie at addresses that could be mere offsets, as in a Python that is not position-independent.
bool has_low_memory() {
    static const bool is_low = !is_beyond_offsets(std::make_unique<char[]>(64).get());
    return is_low;
}

std::int64_t item_size(const dlpack::abi::Tensor& tensor) { return tensor.dtype.bits / 8 * tensor.dtype.lanes; }

}  // namespace

void HostOptimizer::prepare(std::size_t i, py::object& grad, Names::By by) {
    if (grad.is_none() || is_exactly_numpy(grad)) return;
    const auto label = [&] { return names_->grad_label(i, by); };
    if (const TensorType* const type = TensorType::of(grad)) {
        if (recognises(i, grad.ptr(), *type)) return;
        has_new_tensors_ = true;
        type->require_resolved(grad, forms_[i].shape.is_complex, label);
        // This may run code, so it comes before any memory is looked at.
        TensorType::Description seen;
        if (has_low_memory() && type->describe(grad, seen))
            require_storage(grad, address_of(seen.tensor), item_size(seen.tensor), label());
    } else {
        const bool is_scalar = forms_[i].shape.own_ndim() == 0 && is_number(grad);
        grad = is_scalar ? array_of_number(grad) : as_numpy(grad, Access::read, label());
    }
}

Names::Taken HostOptimizer::take_grads(const py::object& grads, bool hold) {
    has_checked_ = true;
    has_new_tensors_ = false;
    Names::Taken taken = names_->take(grads, *this, hold);
    expects_new_tensors_ = has_new_tensors_;
    require_lenders_in_place(!averages_.empty());
    return taken;
}

void HostOptimizer::prefetch(std::size_t i, PyObject* grad) const noexcept {
    if (!bound_[i].is_lent) prefetch_header(bound_[i].param.ptr());
    if (TensorType::if_known(grad)) TensorType::prefetch(grad);
}

void HostOptimizer::count_step(int by) noexcept {
    for (Tensor& tensor : tensors_) tensor.step += tensor.grad ? by : 0;
    is_counted_ = by > 0;
}

bool HostOptimizer::take_plainly(PyObject* const* grads) {
    // Looking at arrays without changing reference counts needs the GIL to be held, but not by the looking thread. With
    // thousands of small arrays, whose headers are scattered, other threads look too. Steps are counted on the way,
    // because a loop of its own would have to bring all tensors into the cache once more.
    std::atomic<bool> all_plain{true};
    const auto look = [&](std::size_t begin, std::size_t end) noexcept {
        bool plain = true;
        for (std::size_t i = begin; i < end; ++i) {
            if (i + ahead < end) {
                prefetch_header(grads[i + ahead]);
                prefetch_header(bound_[i + ahead].param.ptr());
                prefetch_shape(grads[i + ahead / 2]);
            }
            plain &= take_array(i, grads[i]);
            tensors_[i].step += tensors_[i].grad != nullptr;
        }
        if (!plain) all_plain.store(false, std::memory_order_relaxed);
    };
    const std::size_t count = size();
    const auto first_tensor = std::find_if(grads, grads + count, [](PyObject* grad) { return grad != Py_None; });
    if (first_tensor != grads + count && TensorType::if_known(*first_tensor)) {
        // PyTorch's functions need the thread that holds the GIL.
        for (std::size_t i = 0; i < count; ++i) {
            if (i + ahead < count) prefetch_header(grads[i + ahead]);
            if (i + ahead / 2 < count) prefetch(i + ahead / 2, grads[i + ahead / 2]);
            if (!HostOptimizer::take_plainly(i, grads[i])) return false;
        }
        return true;
    }
    if (count < 2 * looked_at_once) {
        look(0, count);
    } else {
        const std::size_t parts = count / looked_at_once;
        pool().run(static_cast<int>(parts), [&](int part) noexcept {
            const auto at = static_cast<std::size_t>(part);
            look(at * count / parts, (at + 1) * count / parts);
        });
    }
    is_counted_ = true;
    if (!all_plain) count_step(-1);
    return all_plain;
}

void HostOptimizer::set_grad(std::size_t i, const void* grad) noexcept {
    Tensor& tensor = tensors_[i];
    if ((tensor.grad == nullptr) != (grad == nullptr)) planned_threads_.store(0, std::memory_order_relaxed);
    tensor.grad = grad;
}

bool HostOptimizer::take_plainly(std::size_t i, PyObject* grad) noexcept {
    if (take_array(i, grad)) return true;
    const TensorType* const type = TensorType::if_known(grad);
    return type && recognises(i, grad, *type) && take_like_before(i, bound_[i].checked_grad);
}

/// Takes None, or an array of NumPy's like the one before.
bool HostOptimizer::take_array(std::size_t i, PyObject* grad) noexcept {
    if (grad == Py_None) {
        set_grad(i, nullptr);
        return true;
    }
    Bound& bound = bound_[i];
    if (!is_exactly_like(grad, bound.descr, bound.expected) || !is_same_param(i)) return false;
    const auto* proxy = array_proxy(grad);
    if (proxy->data != bound.checked_grad) {
        const bool owns = (proxy->flags & npy_api::NPY_ARRAY_OWNDATA_) && regions_.is_plainly_apart(grad);
        if (!owns && !is_apart(bound, proxy->data)) return false;
        bound.checked_grad = proxy->data;
    }
    set_grad(i, proxy->data);
    return true;
}

/// Whether it is the very tensor that was passed before, with the same memory, so that it is no lazy negative view.
/// (Complex tensors are never recognised: `g.data = g.data.conj()` makes one a lazy conjugate of its own memory.)
bool HostOptimizer::recognises(std::size_t i, PyObject* grad, const TensorType& type) const noexcept {
    const Bound& bound = bound_[i];
    if (bound.expected.is_complex || !bound.grad_tensor.is(grad)) return false;
    TensorType::Description seen;
    return type.describe(grad, seen) && address_of(seen.tensor) == bound.checked_grad && is_like_before(i, seen.tensor);
}

bool HostOptimizer::is_like_before(std::size_t i, const dlpack::abi::Tensor& grad) const noexcept {
    const ShapeAndStrides& expected = bound_[i].expected;
    return grad.device.is_host() && is_like(grad, {tensors_[i].grad_dtype, expected.is_complex}, expected.own_ndim(),
                                            expected.shape(), expected.strides());
}

/// Takes a gradient that is like the one before, at this address.
bool HostOptimizer::take_like_before(std::size_t i, const void* data) noexcept {
    Bound& bound = bound_[i];
    if (!is_same_param(i)) return false;
    if (data != bound.checked_grad) {
        const bool is_aligned = reinterpret_cast<std::uintptr_t>(data) % size_of(tensors_[i].grad_dtype) == 0;
        if (!is_aligned || !is_beyond_offsets(data) || !is_apart(bound, data)) return false;
        bound.checked_grad = data;
    }
    set_grad(i, data);
    return true;
}

/// Whether a gradient like the one before, but at another address, is known to be apart from what the optimizer writes.
bool HostOptimizer::is_apart(const Bound& bound, const void* grad) const noexcept {
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(grad) + static_cast<std::uintptr_t>(bound.grad_begin);
    return bound.grad_bytes > 0 && regions_.is_plainly_apart(begin, begin + bound.grad_bytes);
}

void HostOptimizer::take(std::size_t i, const py::object& grad, Names::By by) {
    const TensorType* const type = TensorType::if_known(grad);
    if (!type && (grad.is_none() || is_numpy(grad))) {
        if (take_array(i, grad.ptr())) return;
        require_same_param(i);
        const std::string label = names_->grad_label(i, by);
        return examine(i, view_of(grad, Access::read, label), owner_of(grad.ptr()), label);
    }
    TensorType::Description seen;
    const bool is_seen = type && type->describe(grad, seen);
    if (!is_seen || !is_like_before(i, seen.tensor) || !take_like_before(i, address_of(seen.tensor))) {
        const std::string label = names_->grad_label(i, by);
        if (!is_seen) refuse_tensor(grad, label);
        const bool is_complex = seen.tensor.dtype.code == dlpack::abi::complex;
        if (is_complex && !forms_[i].shape.is_complex) type->require_resolved(grad, true, [&] { return label; });
        require_same_param(i);
        dlpack::Loan loan;
        dlpack::look_at(seen.tensor, loan, label);
        require_host(loan.device, grad, label);
        if (!has_low_memory()) require_storage(grad, loan.view.data, item_size(seen.tensor), label);
        loan.view.data = const_cast<char*>(address_of(seen.tensor));
        require_usable(loan.view, Access::read, {true, is_aligned(loan.view)}, label);
        examine(i, loan.view, nullptr, label);
    }
    if (!bound_[i].grad_tensor.is(grad.ptr())) bound_[i].grad_tensor.saw(grad.ptr());
}

void HostOptimizer::examine(std::size_t i, const ArrayView& view, const void* memory_owner, const std::string& label) {
    const Form& form = forms_[i];
    require_shape(view, form.shape, tensors_[i].dtype, label, names_->label(i));
    require_apart(view, memory_owner, label);
    expect(tensors_[i], bound_[i], form, view_of_param(tensors_[i], form), view);
    bound_[i].checked_grad = view.data;
    set_grad(i, view.data);
}

bool HostOptimizer::is_same_param(std::size_t i) const noexcept {
    const Bound& bound = bound_[i];
    if (bound.is_lent) return true;  // nobody else has this array; require_lenders_in_place() looks at the lender
    const auto* proxy = array_proxy(bound.param.ptr());
    const Tensor& tensor = tensors_[i];
    return proxy->data == tensor.param &&
           proxy->descr == descrs_[place_of({tensor.dtype, bound.expected.is_complex})] &&
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
    const bool same_dtype = find_element(bound.param) == Element{tensors_[i].dtype, forms_[i].shape.is_complex};
    if (!same_dtype || !has_axes(bound.param.ptr(), forms_[i].shape))
        refuse(same_dtype
                   ? ": the array has been given another shape or other strides in place since the optimizer was "
                     "made; make a new optimizer for it"
                   : ": the array has been given another dtype in place since the optimizer was made; make a new "
                     "optimizer for it");
}

}  // namespace adamcore::python

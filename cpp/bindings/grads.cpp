// How an optimizer takes its gradients: by order or by name, each held against its parameter.

#include "foreign.hpp"
#include "optimizer.hpp"
#include "settings.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

bool is_unordered(py::handle object) {
    return PyAnySet_Check(object.ptr()) || PyUnicode_Check(object.ptr()) || PyBytes_Check(object.ptr());
}

/// With thousands of small arrays, a step's time would go to waiting for their headers, which lie scattered: they are
/// asked for this many arrays before they are read, and the shape that a header points to half as many.
constexpr std::size_t ahead = 16;

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

std::string count_text(std::size_t count) { return std::to_string(count) + (count == 1 ? " array" : " arrays"); }

}  // namespace

std::string Optimizer::grad_label(std::size_t tensor, bool by_name) const {
    if (by_name) return "grads['" + identities_[tensor].name.cast<std::string>() + "']";
    return "grads" + identities_[tensor].key;
}

py::object Optimizer::take_grads(const py::object& grads) {
    py::object held = take_structure(grads);
    require_lenders_in_place();
    return held;
}

py::object Optimizer::take_structure(const py::object& grads) {
    if (is_one_array(grads)) {
        if (size() != 1)
            throw py::type_error("grads: expected " + count_text(size()) +
                                 ", one for each parameter, got a single one");
        return take_grad(0, grads, false);
    }
    if (PyDict_Check(grads.ptr()) || py::hasattr(grads, "keys")) return take_dict(py::dict(grads));
    if (is_unordered(grads) || !py::isinstance<py::iterable>(grads))
        throw py::type_error("grads: expected arrays in the structure of params, got " + type_name(grads));
    if (groups_.size() == 1 && identities_.front().key.rfind("['", 0) == 0)
        throw py::type_error("grads: params is a mapping from name to array, so pass gradients by name; got " +
                             type_name(grads));
    return take_sequence(grads);
}

py::object Optimizer::take_sequence(const py::object& grads) {
    const auto sequence = py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "grads: not a sequence"));
    if (!sequence) throw py::error_already_set();
    const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence.ptr()));
    if (count != size())
        throw py::value_error("grads: expected " + count_text(size()) +
                              ", one for each parameter (None leaves one alone), got " + std::to_string(count));
    if (lenders_.empty() && take_plain_sequence(PySequence_Fast_ITEMS(sequence.ptr()))) return sequence;
    // Looking closer may run anyone's code, which may change a list.
    const auto fixed = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sequence.ptr()));
    if (!fixed) throw py::error_already_set();
    py::tuple held(count);
    for (std::size_t i = 0; i < count; ++i) held[i] = take_grad(i, fixed[i], false);
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

py::dict Optimizer::take_dict(const py::dict& grads) {
    py::dict fixed = grads, held = grads;
    if (!lenders_.empty() || !take_plain_dict(grads)) {
        // Looking closer may run anyone's code, which may change the dict.
        fixed = py::reinterpret_steal<py::dict>(PyDict_Copy(grads.ptr()));
        held = py::dict();
        for (std::size_t i = 0; i < size(); ++i)
            held[identities_[i].name] = take_grad(i, py::reinterpret_borrow<py::object>(find_grad(fixed, i)), true);
    }
    if (fixed.size() == size()) return held;
    for (const auto& [name, grad] : fixed) {
        if (!index_of_name_.contains(name))
            throw py::value_error("grads[" + repr_of(name) + "]: there is no such parameter");
    }
    return held;
}

bool Optimizer::take_plain_dict(const py::dict& grads) {
    for (std::size_t i = 0; i < size(); ++i) {
        if (!take_plainly(i, find_grad(grads, i).ptr())) return false;
    }
    return true;
}

py::handle Optimizer::find_grad(const py::dict& grads, std::size_t i) const {
    PyObject* grad = PyDict_GetItemWithError(grads.ptr(), identities_[i].name.ptr());
    if (grad) return grad;
    if (PyErr_Occurred()) throw py::error_already_set();
    throw py::value_error("grads: no gradient for " + identities_[i].label + " (pass None to leave a parameter alone)");
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

py::object Optimizer::take_grad(std::size_t i, const py::object& grad, bool by_name) {
    if (take_plainly(i, grad.ptr())) return grad;
    require_same_param(i);
    const std::string label = grad_label(i, by_name);
    const py::object array = as_numpy(grad, Access::read, label);
    if (!array.is(grad) && take_plainly(i, array.ptr())) return array;
    const Identity& identity = identities_[i];
    const ArrayView view = view_of(array, Access::read, label);
    require_shape(view, identity.shape.ndim, identity.shape.shape(), label, identity.label);
    if (const auto region = regions_.find_overlap(Regions::region_of(view, array, -1), owner_of(array.ptr())))
        throw py::value_error(label + ": shares memory with " +
                              (region->tensor < 0 ? "the optimizer's state"
                                                  : identities_[static_cast<std::size_t>(region->tensor)].label) +
                              ", which the step writes; pass a copy");
    expect(tensors_[i], bound_[i], identity, param_view(i), view);
    bound_[i].checked_grad = view.data;
    set_grad(i, view.data);
    return array;
}

/// The parameter as it was bound.
ArrayView Optimizer::param_view(std::size_t i) const {
    const Tensor& tensor = tensors_[i];
    const ShapeAndStrides& shape = identities_[i].shape;
    return {static_cast<char*>(tensor.param), tensor.size, tensor.dtype, shape.ndim, shape.shape(), shape.strides()};
}

bool Optimizer::is_same_param(std::size_t i) const noexcept {
    const auto* proxy = array_proxy(bound_[i].param.ptr());
    return proxy->data == tensors_[i].param && (proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_);
}

void Optimizer::require_same_param(std::size_t i) const {
    if (is_same_param(i)) return;
    const bool moved = array_proxy(bound_[i].param.ptr())->data != tensors_[i].param;
    throw py::value_error(identities_[i].label +
                          (moved ? ": the array's memory has moved since the optimizer was made (by resize(), say)"
                                 : ": the array has been made read-only and cannot be updated in place"));
}

void Optimizer::require_lenders_in_place() const {
    for (const Lender& lender : lenders_) {
        if (!tensors_[lender.tensor].grad || data_pointer(lender.array) == lender.pointer) continue;
        throw py::value_error(identities_[lender.tensor].label +
                              ": the array's memory has moved since the optimizer was made (by set_() or p.data = ..., "
                              "say)");
    }
}

}  // namespace adamcore::python

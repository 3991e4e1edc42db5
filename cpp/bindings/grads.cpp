// How an optimizer takes its gradients: by order or by name, each held against its parameter.

#include "optimizer.hpp"
#include "settings.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

bool is_array(py::handle object) { return npy_api::get().PyArray_Check_(object.ptr()); }

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
    if (is_array(grads)) {
        if (size() != 1)
            throw py::type_error("grads: expected " + count_text(size()) +
                                 ", one for each parameter, got a single one");
        take_grad(0, grads.ptr(), false);
        return grads;
    }
    if (PyDict_Check(grads.ptr()) || py::hasattr(grads, "keys")) {
        const py::dict by_name(grads);  // itself if it is a dict
        take_grads_by_name(by_name);
        return by_name;
    }
    if (is_unordered(grads) || !py::isinstance<py::iterable>(grads))
        throw py::type_error("grads: expected arrays in the structure of params, got " + type_name(grads));

    if (groups_.size() == 1 && identities_.front().key.rfind("['", 0) == 0)
        throw py::type_error("grads: params is a mapping from name to array, so pass gradients by name; got " +
                             type_name(grads));
    const auto sequence = py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "grads: not a sequence"));
    if (!sequence) throw py::error_already_set();
    const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence.ptr()));
    if (count != size())
        throw py::value_error("grads: expected " + count_text(size()) +
                              ", one for each parameter (None leaves one alone), got " + std::to_string(count));
    if (take_plain_sequence(PySequence_Fast_ITEMS(sequence.ptr()))) return sequence;
    // Looking closer may run anyone's code, which may change a list.
    auto fixed = py::reinterpret_steal<py::object>(PySequence_Tuple(sequence.ptr()));
    if (!fixed) throw py::error_already_set();
    for (std::size_t i = 0; i < count; ++i)
        take_grad(i, PyTuple_GET_ITEM(fixed.ptr(), static_cast<Py_ssize_t>(i)), false);
    return fixed;
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

void Optimizer::take_grads_by_name(const py::dict& grads) {
    for (std::size_t i = 0; i < size(); ++i) {
        PyObject* grad = PyDict_GetItemWithError(grads.ptr(), identities_[i].name.ptr());
        if (!grad) {
            if (PyErr_Occurred()) throw py::error_already_set();
            throw py::value_error("grads: no gradient for " + identities_[i].label +
                                  " (pass None to leave a parameter alone)");
        }
        const auto kept = py::reinterpret_borrow<py::object>(grad);
        take_grad(i, grad, true);
    }
    if (grads.size() == size()) return;
    for (const auto& [name, grad] : grads) {
        if (!index_of_name_.contains(name))
            throw py::value_error("grads[" + repr_of(name) + "]: there is no such parameter");
    }
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

void Optimizer::take_grad(std::size_t i, PyObject* grad, bool by_name) {
    if (take_plainly(i, grad)) return;
    require_same_param(i);
    const std::string label = grad_label(i, by_name);
    const Identity& identity = identities_[i];
    const ArrayView view = view_of(grad, Access::read, label);
    require_shape(view, identity.shape.ndim, identity.shape.shape(), label, identity.label);
    if (const auto region = regions_.find_overlap(Regions::region_of(view, grad, -1), owner_of(grad)))
        throw py::value_error(label + ": shares memory with " +
                              (region->tensor < 0 ? "the optimizer's state"
                                                  : identities_[static_cast<std::size_t>(region->tensor)].label) +
                              ", which the step writes; pass a copy");
    expect(tensors_[i], bound_[i], identity, param_view(i), view);
    bound_[i].checked_grad = view.data;
    set_grad(i, view.data);
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

}  // namespace adamcore::python

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

/// Checking this many takes as long as threads need to wake.
constexpr std::size_t wake_ahead = 4096;

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
    PyObject** items = PySequence_Fast_ITEMS(sequence.ptr());
    for (std::size_t i = 0; i < count; ++i) {
        if (i + ahead < count) {
            prefetch_header(items[i + ahead]);
            prefetch_header(bound_[i + ahead].param.ptr());
            prefetch_shape(items[i + ahead / 2]);
        }
        if (count - i == wake_ahead && parts_ > 1) cpu::expect_parts(pool().threads);
        take_grad(i, items[i], false);
    }
    return sequence;
}

void Optimizer::take_grads_by_name(const py::dict& grads) {
    for (std::size_t i = 0; i < size(); ++i) {
        PyObject* grad = PyDict_GetItemWithError(grads.ptr(), identities_[i].name.ptr());
        if (!grad) {
            if (PyErr_Occurred()) throw py::error_already_set();
            throw py::value_error("grads: no gradient for " + identities_[i].label +
                                  " (pass None to leave a parameter alone)");
        }
        take_grad(i, grad, true);
    }
    if (grads.size() == size()) return;
    for (const auto& [name, grad] : grads) {
        if (!index_of_name_.contains(name))
            throw py::value_error("grads[" + repr_of(name) + "]: there is no such parameter");
    }
}

void Optimizer::take_grad(std::size_t i, PyObject* grad, bool by_name) {
    Tensor& tensor = tensors_[i];
    Bound& bound = bound_[i];
    if (grad == Py_None) {
        if (tensor.grad) planned_threads_ = 0;
        tensor.grad = nullptr;
        return;
    }
    require_same_param(i);
    if (!is_exactly_like(grad, bound.descr, bound.layout)) check_grad(i, grad, by_name);
    const void* data = array_proxy(grad)->data;
    if (data != bound.checked_grad) {
        const auto bytes = tensor.size * static_cast<std::int64_t>(size_of(tensor.dtype));
        if (const auto region = regions_.find_overlap(data, bytes, owner_of(grad)))
            throw py::value_error(grad_label(i, by_name) + ": shares memory with " +
                                  (region->tensor < 0 ? "the optimizer's state"
                                                      : identities_[static_cast<std::size_t>(region->tensor)].label) +
                                  ", which the step writes; pass a copy");
        bound.checked_grad = data;
    }
    if (!tensor.grad) planned_threads_ = 0;
    tensor.grad = data;
}

void Optimizer::check_grad(std::size_t i, PyObject* grad, bool by_name) const {
    const std::string label = grad_label(i, by_name);
    require_like(view_of(grad, Access::read, label), bound_[i].layout, tensors_[i].dtype, label, identities_[i].label);
}

void Optimizer::require_same_param(std::size_t i) const {
    const auto* proxy = array_proxy(bound_[i].param.ptr());
    if (proxy->data != tensors_[i].param)
        throw py::value_error(identities_[i].label +
                              ": the array's memory has moved since the optimizer was made (by resize(), say)");
    if (!(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_))
        throw py::value_error(identities_[i].label +
                              ": the array has been made read-only and cannot be updated in place");
}

}  // namespace adamcore::python

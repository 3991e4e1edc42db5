#include "gate/foreign.hpp"

#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

bool is_in(py::handle module, std::string_view package) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_Check(module.ptr()) ? PyUnicode_AsUTF8AndSize(module.ptr(), &size) : nullptr;
    if (!text) {
        PyErr_Clear();
        return false;
    }
    const std::string_view name(text, static_cast<std::size_t>(size));
    return name.substr(0, package.size()) == package && (name.size() == package.size() || name[package.size()] == '.');
}

bool is_true(const py::object& object) {
    const int truth = PyObject_IsTrue(object.ptr());
    if (truth < 0) throw py::error_already_set();
    return truth != 0;
}

}  // namespace

py::object find_attr(py::handle object, py::handle name) {
    PyObject* found = run_python([&] { return PyObject_GetAttr(object.ptr(), name.ptr()); });
    if (!found) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
        PyErr_Clear();
    }
    return py::reinterpret_steal<py::object>(found);
}

bool is_from(py::handle object, std::string_view package) {
    static const py::handle name = interned("__module__");
    PyObject* types = Py_TYPE(object.ptr())->tp_mro;
    if (!types) return false;
    for (const py::handle type : py::reinterpret_borrow<py::tuple>(types)) {
        const py::object module = find_attr(type, name);
        if (module && is_in(module, package)) return true;
    }
    return false;
}

bool holds_numbers(py::handle object) {
    if (PyObject_CheckBuffer(object.ptr())) return true;
    // For the last one, PyTorch raises an error for CUDA tensors that require gradients.
    static const py::handle protocols[] = {interned("__dlpack__"), interned("__array__"),
                                           interned("__array_interface__"), interned("__array_struct__"),
                                           interned("__cuda_array_interface__")};
    static const py::handle shape = interned("shape"), dtype = interned("dtype");
    try {
        for (const py::handle protocol : protocols) {
            if (find_attr(object, protocol)) return true;
        }
        return find_attr(object, shape) && find_attr(object, dtype);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_Exception)) throw;
        return true;
    }
}

py::object plain_tensor(py::handle tensor, const std::string& label) {
    static const py::handle requires_grad = interned("requires_grad"), is_neg = interned("is_neg");
    try {
        const py::object negative = find_attr(tensor, is_neg);
        if (negative && is_true(run_python([&]() -> py::object { return negative(); }))) refuse_negative(label);
        const py::object has_graph = find_attr(tensor, requires_grad);
        if (has_graph && is_true(has_graph)) return run_python([&]() -> py::object { return tensor.attr("detach")(); });
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "the tensor cannot be used");
    }
    return py::reinterpret_borrow<py::object>(tensor);
}

void refuse_negative(const std::string& label) {
    throw py::value_error(
        label +
        ": the tensor is a lazy negative view, whose memory holds the negatives of its elements; pass "
        "a.resolve_neg()");
}

void refuse_conjugate(const std::string& label) {
    throw py::value_error(
        label +
        ": the tensor is a lazy conjugate view, whose memory holds the conjugates of its elements; pass "
        "a.resolve_conj()");
}

void require_storage(py::handle tensor, const void* address, std::int64_t item_size, const std::string& label) {
    if (!address || is_beyond_offsets(address)) return;
    static const py::handle name = interned("storage_offset");
    try {
        const py::object method = find_attr(tensor, name);
        if (!method) return;
        const auto offset = run_python([&]() -> py::object { return method(); }).cast<std::int64_t>();
        if (reinterpret_cast<std::uintptr_t>(address) != static_cast<std::uintptr_t>(offset * item_size)) return;
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "the tensor cannot be used");
    }
    throw py::value_error(label + ": the tensor has no memory");
}

std::optional<std::uintptr_t> data_pointer(py::handle tensor) {
    static const py::handle name = interned("data_ptr");
    try {
        const py::object method = find_attr(tensor, name);
        if (!method) return std::nullopt;
        return run_python([&]() -> py::object { return method(); }).cast<std::uintptr_t>();
    } catch (const py::cast_error&) {
        return std::nullopt;
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_Exception)) throw;
        return std::nullopt;
    }
}

void refuse_because(py::error_already_set& error, const std::string& label, const std::string& what) {
    if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw;
    const std::string message = label + ": " + what + ": " +
                                py::str(error.type().attr("__name__")).cast<std::string>() + ": " +
                                py::str(error.value()).cast<std::string>();
    py::raise_from(error, PyExc_ValueError, message.c_str());
    throw py::error_already_set();
}

}  // namespace adamcore::python

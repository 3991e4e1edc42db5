#include "arrays.hpp"

#include <array>
#include <optional>

#include "text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

/// ml_dtypes.bfloat16, or null while no one has imported it: then no array has it.
PyObject* bfloat16_type() {
    static PyObject* found = nullptr;
    if (!found) {
        const py::object modules = py::module_::import("sys").attr("modules");
        if (modules.contains("ml_dtypes"))
            found = py::getattr(modules["ml_dtypes"], "bfloat16", py::none()).release().ptr();
    }
    return found == Py_None ? nullptr : found;
}

std::optional<Dtype> supported_dtype(const py::dtype& dtype) {
    if (dtype.kind() != 'f') {
        const bool is_bfloat16 = dtype.itemsize() == 2 && dtype.attr("type").ptr() == bfloat16_type();
        return is_bfloat16 ? std::optional(Dtype::bfloat16) : std::nullopt;
    }
    if (dtype.byteorder() != '=' && dtype.byteorder() != '|') return std::nullopt;
    switch (dtype.itemsize()) {
        case 2: return Dtype::float16;
        case 4: return Dtype::float32;
        case 8: return Dtype::float64;
        default: return std::nullopt;
    }
}

Dtype dtype_of_array(const py::array& array, const std::string& label) {
    const py::dtype dtype = array.dtype();
    if (const auto found = supported_dtype(dtype)) return *found;
    if (dtype.kind() == 'f' && dtype.byteorder() != '=' && supported_dtype(dtype.attr("newbyteorder")("=")))
        throw py::type_error(label + ": dtype " + repr_of(dtype) +
                             " is not in this machine's byte order; convert it with "
                             "a.astype(a.dtype.newbyteorder('='))");
    refuse_dtype(dtype_name(array), label);
}

}  // namespace

PyObject* usual_descr(Dtype dtype) {
    static const std::array<PyObject*, 3> descrs{py::dtype::of<float>().release().ptr(),
                                                 py::dtype::of<double>().release().ptr(),
                                                 py::dtype("float16").release().ptr()};
    static PyObject* bfloat16 = nullptr;
    if (dtype != Dtype::bfloat16) return descrs[static_cast<std::size_t>(dtype)];
    if (!bfloat16 && bfloat16_type())
        bfloat16 = py::dtype::from_args(py::reinterpret_borrow<py::object>(bfloat16_type())).release().ptr();
    return bfloat16;
}

py::dtype numpy_dtype(Dtype dtype) {
    if (dtype == Dtype::bfloat16 && !bfloat16_type()) {
        try {
            py::module_::import("ml_dtypes");
        } catch (py::error_already_set& error) {
            if (!error.matches(PyExc_ImportError)) throw;
            throw py::import_error("bfloat16 arrays need ml_dtypes: pip install ml_dtypes");
        }
    }
    return py::reinterpret_borrow<py::dtype>(usual_descr(dtype));
}

std::string dtype_name(py::handle array) {
    return py::str(py::reinterpret_borrow<py::array>(array).dtype()).cast<std::string>();
}

ArrayView view_of(py::handle object, Access access, const std::string& label) {
    if (!npy_api::get().PyArray_Check_(object.ptr()))
        throw py::type_error(label + ": expected a NumPy array, got " + type_name(object));
    if (py::hasattr(object, "_mask"))
        throw py::type_error(label + ": masked arrays are not supported; pass the array's .data");

    const auto array = py::reinterpret_borrow<py::array>(object);
    const auto* proxy = array_proxy(object.ptr());
    ArrayView view;
    view.dtype = dtype_of_array(array, label);
    view.data = proxy->data;
    view.ndim = proxy->nd;
    view.shape = proxy->dimensions;
    view.strides = proxy->strides;
    view.size = array.size();

    const bool read_only = !(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_);
    const bool aligned = proxy->flags & npy_api::NPY_ARRAY_ALIGNED_;
    require_usable(view, access, {read_only, aligned}, label);
    return view;
}

const void* owner_of(PyObject* array) {
    for (;;) {
        const auto* proxy = array_proxy(array);
        if (proxy->flags & npy_api::NPY_ARRAY_OWNDATA_) return array;
        PyObject* base = proxy->base;
        if (!base || !npy_api::get().PyArray_Check_(base)) return nullptr;
        array = base;
    }
}

}  // namespace adamcore::python

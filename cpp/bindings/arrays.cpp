#include "arrays.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <vector>

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
    throw py::type_error(label + ": dtype " + dtype_name(array) +
                         " is not supported; use float32, float64, float16 or ml_dtypes.bfloat16");
}

/// The axes that have more than one element, by the distance between neighbours.
std::vector<int> axes_by_stride(const ArrayView& view) {
    std::vector<int> axes;
    for (int i = 0; i < view.ndim; ++i) {
        if (view.shape[i] != 1) axes.push_back(i);
    }
    std::sort(axes.begin(), axes.end(),
              [&](int a, int b) { return std::abs(view.strides[a]) < std::abs(view.strides[b]); });
    return axes;
}

/// Whether each axis steps over all that the shorter ones span, so that no two elements share memory. (Views that do
/// not nest so, which as_strided can make, are not looked into further.)
bool is_plainly_disjoint(const ArrayView& view) {
    if (view.size == 0) return true;
    Py_ssize_t span = view.item_size();
    for (const int axis : axes_by_stride(view)) {
        const Py_ssize_t stride = std::abs(view.strides[axis]);
        if (stride < span) return false;
        span += (view.shape[axis] - 1) * stride;
    }
    return true;
}

std::string tuple_text(const Py_ssize_t* values, int ndim) {
    std::string text = "(";
    for (int i = 0; i < ndim; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    return text + (ndim == 1 ? ",)" : ")");
}

}  // namespace

bool is_dense(const ArrayView& view) {
    if (view.size == 0) return true;
    Py_ssize_t expected = view.item_size();
    for (const int axis : axes_by_stride(view)) {
        if (view.strides[axis] != expected) return false;
        expected *= view.shape[axis];
    }
    return true;
}

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

    if (access == Access::write && !(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_))
        throw py::value_error(label +
                              ": the array is read-only and cannot be updated in place; pass a writable one, "
                              "such as a.copy()");
    if (!(proxy->flags & npy_api::NPY_ARRAY_ALIGNED_))
        throw py::value_error(label + ": the array is not aligned to its dtype; pass a.copy()");
    if (access == Access::write && !is_plainly_disjoint(view))
        throw py::value_error(label + ": elements share memory (shape " + tuple_text(view.shape, view.ndim) +
                              ", strides " + tuple_text(view.strides, view.ndim) +
                              "), as in a broadcast array; pass a.copy()");
    return view;
}

void require_shape(const ArrayView& view, int ndim, const Py_ssize_t* shape, const std::string& label,
                   const std::string& like_label) {
    if (view.ndim != ndim || !std::equal(shape, shape + ndim, view.shape))
        throw py::value_error(label + ": shape " + tuple_text(view.shape, view.ndim) + " does not match " + like_label +
                              ", which has shape " + tuple_text(shape, ndim));
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

#pragma once

#include <cstdint>
#include <string>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/dtype.hpp"

/// The one gate for arrays: what comes in is used in place, or refused with the reason and the remedy.
///
/// pybind11's array_t converts and copies what does not fit, so it appears nowhere.
namespace adamcore::python {

namespace py = pybind11;

enum class Access { read, write };

/// An array's memory as the kernels use it. Shape and strides are borrowed from the array object.
struct ArrayView {
    char* data = nullptr;
    std::int64_t size = 0;
    Dtype dtype = Dtype::float32;
    int ndim = 0;
    const Py_ssize_t* shape = nullptr;
    const Py_ssize_t* strides = nullptr;

    std::int64_t item_size() const { return static_cast<std::int64_t>(size_of(dtype)); }
};

/// A shape and strides that outlive changes to the array object; `axes` holds the shape, then the strides.
struct ShapeAndStrides {
    int ndim = 0;
    const Py_ssize_t* axes = nullptr;

    const Py_ssize_t* shape() const { return axes; }
    const Py_ssize_t* strides() const { return axes + ndim; }
};

/// The memory of a NumPy array of a supported dtype that is aligned, native-endian and, for Access::write, writable and
/// without two elements in one place. Raises TypeError or ValueError that begins with `label` otherwise.
ArrayView view_of(py::handle array, Access access, const std::string& label);

/// Whether the axes, sorted by stride, tile memory without gaps. C and Fortran order are the usual cases.
bool is_dense(const ArrayView& view);

/// Raises unless `view` has this shape.
void require_shape(const ArrayView& view, int ndim, const Py_ssize_t* shape, const std::string& label,
                   const std::string& like_label);

/// The descriptor object that nearly all arrays of a dtype share; null for bfloat16 while ml_dtypes is not imported.
PyObject* usual_descr(Dtype dtype);

/// NumPy's dtype. For bfloat16 it imports ml_dtypes, and raises ImportError that says so if there is none.
py::dtype numpy_dtype(Dtype dtype);

/// Whether an exact ndarray has just this descriptor, shape and strides, and is aligned. No false positives; what
/// it rejects may still pass view_of and require_like. Costs a few loads.
inline bool is_exactly_like(PyObject* array, PyObject* descr, const ShapeAndStrides& like) {
    using py::detail::npy_api;
    if (Py_TYPE(array) != npy_api::get().PyArray_Type_) return false;
    const auto* proxy = py::detail::array_proxy(array);
    if (proxy->descr != descr || !(proxy->flags & npy_api::NPY_ARRAY_ALIGNED_)) return false;
    if (proxy->nd != like.ndim) return false;
    for (int i = 0; i < like.ndim; ++i) {
        if (proxy->dimensions[i] != like.shape()[i] || proxy->strides[i] != like.strides()[i]) return false;
    }
    return true;
}

/// Where an array's memory is allocated: the last of the arrays that it is a view of. Null if that is not an
/// ndarray that owns its memory.
const void* owner_of(PyObject* array);

/// "float32" and the like, for messages.
std::string dtype_name(py::handle array);

}  // namespace adamcore::python

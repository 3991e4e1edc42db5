#pragma once

#include <optional>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/dtype.hpp"
#include "gate/view.hpp"

/// The one gate for arrays: what comes in is used in place, or refused with the reason and the remedy.
///
/// pybind11's array_t converts and copies what does not fit, so it appears nowhere.
namespace adamcore::python {

namespace py = pybind11;

/// Whether the object is one array, NumPy's or another library's, and no structure of arrays.
bool is_one_array(py::handle object);

/// The object itself if it is a NumPy array. Other libraries' arrays in CPU memory, which come by DLPack, become NumPy
/// arrays over the same memory, which keep it; one is read-only where its library says so, and for Access::write that
/// raises. Raises TypeError or ValueError that begins with `label` for anything else, masked arrays too. May run the code
/// of anyone's class, which may change other arrays: to be done for all before view_of() is asked of any.
py::object as_numpy(py::handle array, Access access, const std::string& label);

/// Whether it is a NumPy array of no class derived from NumPy's: to look into it runs no one's code.
inline bool is_exactly_numpy(py::handle object) {
    return Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_;
}

/// Raises TypeError, which begins with `label`, for a masked array. May run the code of its class.
void require_no_mask(py::handle array, const std::string& label);

/// The memory of a NumPy array of a supported dtype that is aligned, native-endian and, for Access::write, writable and
/// without two elements in one place. Raises TypeError or ValueError that begins with `label` otherwise. Runs no one's
/// code. `array` is what as_numpy() has returned.
ArrayView view_of(py::handle array, Access access, const std::string& label);

/// The array's dtype, if it is one that the kernels know. Runs no one's code.
std::optional<Dtype> find_dtype(py::handle array);

/// The descriptor object that nearly all arrays of a dtype share; null for bfloat16 while ml_dtypes is not imported.
PyObject* usual_descr(Dtype dtype);

/// NumPy's dtype. For bfloat16 it imports ml_dtypes, and raises ImportError that says so if there is none.
py::dtype numpy_dtype(Dtype dtype);

/// Whether a NumPy array has just this shape and these strides.
inline bool has_axes(PyObject* array, const ShapeAndStrides& like) {
    const auto* proxy = py::detail::array_proxy(array);
    if (proxy->nd != like.ndim) return false;
    for (int i = 0; i < like.ndim; ++i) {
        if (proxy->dimensions[i] != like.shape()[i] || proxy->strides[i] != like.strides()[i]) return false;
    }
    return true;
}

/// Whether an exact ndarray has just this descriptor, shape and strides, and is aligned. No false positives; what
/// it rejects may still pass view_of and require_like. Costs a few loads.
inline bool is_exactly_like(PyObject* array, PyObject* descr, const ShapeAndStrides& like) {
    using py::detail::npy_api;
    if (Py_TYPE(array) != npy_api::get().PyArray_Type_) return false;
    const auto* proxy = py::detail::array_proxy(array);
    return proxy->descr == descr && (proxy->flags & npy_api::NPY_ARRAY_ALIGNED_) && has_axes(array, like);
}

/// Where an array's memory is allocated: the last of the arrays that it is a view of. Null if that is not an
/// ndarray that owns its memory.
const void* owner_of(PyObject* array);

/// "float32" and the like, for messages.
std::string dtype_name(py::handle array);

}  // namespace adamcore::python

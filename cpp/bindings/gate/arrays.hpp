#pragma once

#include <optional>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/dtype.hpp"
#include "gate/dlpack.hpp"
#include "gate/view.hpp"

/// The only place that accepts arrays. An array is used in place, or an error gives the reason and the remedy.
///
/// pybind11's array_t would convert and copy arrays that do not match, so it is not used anywhere.
namespace adamcore::python {

namespace py = pybind11;

/// Whether the object is one array, of NumPy or another library, and not a structure of arrays.
bool is_one_array(py::handle object);

/// Whether the object is a Python float or complex number, or a NumPy scalar. Operations on arrays without axes return such numbers.
bool is_number(py::handle object);

/// A new array without axes that contains the number.
py::object array_of_number(py::handle number);

/// Returns a NumPy array as it is. Arrays of other libraries in CPU memory become NumPy arrays over the same memory, by
/// way of DLPack, and keep that memory alive. They are read-only if their library says so; with Access::write, this
/// raises an error. Anything else, masked arrays included, raises TypeError or ValueError that starts with `label`. May
/// run foreign code, which may change other arrays. So call it for all arrays before you call view_of() for any.
py::object as_numpy(py::handle array, Access access, const std::string& label);

/// Whether the object is a NumPy array and not of a derived class. Examining such an array runs no foreign code.
inline bool is_exactly_numpy(py::handle object) {
    return Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_;
}

/// Whether the object is a NumPy array, of a derived class or not.
inline bool is_numpy(py::handle object) { return py::detail::npy_api::get().PyArray_Check_(object.ptr()); }

/// Raises TypeError, which starts with `label`, unless the memory is the CPU's.
void require_host(dlpack::Device device, py::handle object, const std::string& label);

/// Raises the error of as_numpy() for a tensor whose memory cannot be described.
[[noreturn]] void refuse_tensor(py::handle tensor, const std::string& label);

/// Raises TypeError, which starts with `label`, for a masked array. May run code of its class.
void require_no_mask(py::handle array, const std::string& label);

/// The memory of a NumPy array. Raises TypeError or ValueError that starts with `label` unless the array has a
/// supported dtype, is aligned and native-endian and, for Access::write, is writable and has no two elements at one
/// address. Runs no foreign code. `array` is the result of as_numpy().
ArrayView view_of(py::handle array, Access access, const std::string& label);

/// The type of the array's elements, if the kernels support it. Runs no foreign code.
std::optional<Element> find_element(py::handle array);

/// The descriptor object that nearly all arrays of a type share. Null for bfloat16 if ml_dtypes has not been imported.
PyObject* usual_descr(Element element);

/// The type of which this is the usual descriptor object.
std::optional<Element> plain_element(const PyObject* descr);

/// NumPy's dtype. For bfloat16 this imports ml_dtypes, and raises an ImportError with a hint if it is not installed.
py::dtype numpy_dtype(Element element);

/// Whether a NumPy array has exactly this shape and these strides. The axis of complex parts is not its own.
inline bool has_axes(PyObject* array, const ShapeAndStrides& like) {
    const auto* proxy = py::detail::array_proxy(array);
    const int ndim = like.own_ndim();
    if (proxy->nd != ndim) return false;
    for (int i = 0; i < ndim; ++i) {
        if (proxy->dimensions[i] != like.shape()[i] || proxy->strides[i] != like.strides()[i]) return false;
    }
    return true;
}

/// Whether an exact ndarray has exactly this descriptor, shape and strides, and is aligned. It has no false positives;
/// an array that it rejects may still pass view_of and require_like. It takes a few loads.
inline bool is_exactly_like(PyObject* array, PyObject* descr, const ShapeAndStrides& like) {
    using py::detail::npy_api;
    if (Py_TYPE(array) != npy_api::get().PyArray_Type_) return false;
    const auto* proxy = py::detail::array_proxy(array);
    return proxy->descr == descr && (proxy->flags & npy_api::NPY_ARRAY_ALIGNED_) && has_axes(array, like);
}

/// The object that allocated an array's memory: the last in the chain of arrays of which it is a view. Null if that is
/// not an ndarray that owns its memory.
const void* owner_of(PyObject* array);

/// The name of the dtype, such as "float32", for messages.
std::string dtype_name(py::handle array);

}  // namespace adamcore::python

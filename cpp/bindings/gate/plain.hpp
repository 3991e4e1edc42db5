#pragma once

#include <pybind11/numpy.h>

#include "gate/arrays.hpp"

namespace adamcore::python {

/// Fills `view` if the object is a plain array: an ndarray and not of a derived class, with the usual descriptor of a
/// supported dtype, aligned, dense in C or Fortran order and, for Access::write, writable. Returns one bit for each of
/// these orders, or 0 if the object is not a plain array; then as_numpy() and view_of() decide. Runs no foreign code,
/// and takes a few loads. Shape
/// and strides are the array's own, also of complex arrays.
inline unsigned look_plainly(PyObject* object, Access access, ArrayView& view) {
    using py::detail::npy_api;
    if (Py_TYPE(object) != npy_api::get().PyArray_Type_) return 0;
    const auto* proxy = py::detail::array_proxy(object);
    const int needed =
        npy_api::NPY_ARRAY_ALIGNED_ | (access == Access::write ? static_cast<int>(npy_api::NPY_ARRAY_WRITEABLE_) : 0);
    if ((proxy->flags & needed) != needed) return 0;
    const auto element = plain_element(proxy->descr);
    if (!element) return 0;
    view.dtype = element->dtype;
    view.is_complex = element->is_complex;
    view.data = proxy->data;
    view.ndim = proxy->nd;
    view.shape = proxy->dimensions;
    view.strides = proxy->strides;
    view.size = view.is_complex ? 2 : 1;
    for (int axis = 0; axis < view.ndim; ++axis) view.size *= view.shape[axis];
    constexpr unsigned both = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_F_CONTIGUOUS_;
    return static_cast<unsigned>(proxy->flags) & both;
}

}  // namespace adamcore::python

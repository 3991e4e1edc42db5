#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "gate/view.hpp"

/// Reads __cuda_array_interface__, versions 2 and 3 (numba.readthedocs.io, "CUDA Array Interface").
namespace adamcore::python {

/// The description of an array by its interface.
struct Interface {
    Element element{};
    std::uintptr_t data = 0;
    bool read_only = false;
    int ndim = 0;
    std::vector<Py_ssize_t> axes;          ///< the shape, then the strides in bytes if it gives them
    std::optional<std::uintptr_t> stream;  ///< to be waited for
};

/// Reads `fields` of `object`. Raises TypeError or ValueError that starts with `label` if they are not a valid
/// interface, and for masked arrays and dtypes that the kernels do not support.
Interface read_interface(py::handle object, py::handle fields, const std::string& label);

/// The type that a NumPy-like dtype object describes.
Element element_of_object(py::handle dtype, const std::string& label);

/// Appends the elements of a sequence of integers.
void append_integers(py::handle sequence, std::vector<Py_ssize_t>& values);

}  // namespace adamcore::python

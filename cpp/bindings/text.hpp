#pragma once

#include <string>

#include <pybind11/pybind11.h>

/// Python objects in error messages.
namespace adamcore::python {

inline std::string repr_of(pybind11::handle object) { return pybind11::repr(object).cast<std::string>(); }

inline std::string type_name(pybind11::handle object) { return Py_TYPE(object.ptr())->tp_name; }

}  // namespace adamcore::python

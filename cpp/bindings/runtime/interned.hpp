#pragma once

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// A Python str that is never destroyed.
inline pybind11::handle interned(const char* text) {
    PyObject* const found = PyUnicode_InternFromString(text);
    if (!found) throw pybind11::error_already_set();
    return found;
}

}  // namespace adamcore::python

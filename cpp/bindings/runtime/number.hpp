#pragma once

#include <limits>

#include <pybind11/pybind11.h>

#include "runtime/interned.hpp"

namespace adamcore::python {

/// Whether a value is a complex number, of Python or of NumPy. NumPy's say that they are floats too, and lose a part.
/// Runs code, unless the value is a float or an int.
inline bool is_complex_number(pybind11::handle value) {
    if (PyFloat_Check(value.ptr()) || PyLong_Check(value.ptr())) return false;
    if (PyComplex_Check(value.ptr())) return true;
    static const pybind11::handle dtype = interned("dtype"), kind = interned("kind");
    PyObject* found = PyObject_GetAttr(value.ptr(), dtype.ptr());
    if (found) {
        PyObject* const letter = PyObject_GetAttr(found, kind.ptr());
        Py_DECREF(found);
        found = letter;
    }
    PyErr_Clear();
    const bool is_complex = found && PyUnicode_Check(found) && PyUnicode_CompareWithASCIIString(found, "c") == 0;
    Py_XDECREF(found);
    return is_complex;
}

/// The value as a double. If it is no real number, it returns -1 with a Python error set, as PyFloat_AsDouble does.
inline double as_double(pybind11::handle value) {
    if (!is_complex_number(value)) return PyFloat_AsDouble(value.ptr());
    PyErr_SetString(PyExc_TypeError, "a complex number is no real number");
    return -1.0;
}

/// The value as a double, or NaN if it is no real number or too large for one. Errors of its own code are passed on.
inline double number_or_nan(pybind11::handle value) {
    const double x = as_double(value);
    if (x != -1.0 || !PyErr_Occurred()) return x;
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_OverflowError))
        throw pybind11::error_already_set();
    PyErr_Clear();
    return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace adamcore::python

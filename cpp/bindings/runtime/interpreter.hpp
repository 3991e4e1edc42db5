#pragma once

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// The modules keep objects, and NumPy's interface, for the process: they belong to its first interpreter.
inline constexpr const char* not_for_others =
    "adamcore works in a process's main interpreter alone, as NumPy does: this is a sub-interpreter. Use another "
    "process";

inline bool is_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

}  // namespace adamcore::python

/// PYBIND11_MODULE of a module that other interpreters get an ImportError from.
///
/// It is asked twice. Up to Python 3.11 pybind11 waits for ever in another interpreter, before it comes to the module's own
/// code: PyGILState_Ensure takes the lock that the thread has already. From 3.13 on it is the main interpreter that
/// calls PyInit, whoever imports.
#define ADAMCORE_MODULE(name, variable)                                                                               \
    static void define_##name(pybind11::module_& variable);                                                           \
    PYBIND11_MODULE(name##_of_main, m, pybind11::multiple_interpreters::not_supported()) {                            \
        if (!adamcore::python::is_main_interpreter()) throw pybind11::import_error(adamcore::python::not_for_others); \
        define_##name(m);                                                                                             \
    }                                                                                                                 \
    extern "C" PYBIND11_EXPORT PyObject* PyInit_##name();                                                             \
    extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                                                            \
        if (adamcore::python::is_main_interpreter()) return PyInit_##name##_of_main();                                \
        PyErr_SetString(PyExc_ImportError, adamcore::python::not_for_others);                                         \
        return nullptr;                                                                                               \
    }                                                                                                                 \
    static void define_##name(pybind11::module_& variable)

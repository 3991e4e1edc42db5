#pragma once

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// The modules keep objects and NumPy's API for the whole process, so they belong to its first interpreter.
inline constexpr const char* not_for_others =
    "adamcore, like NumPy, works only in the main interpreter of a process, and this is a sub-interpreter. Use "
    "another process";

inline bool is_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

}  // namespace adamcore::python

/// PYBIND11_MODULE for a module that raises ImportError in other interpreters.
///
/// The check is made twice. Up to Python 3.11, pybind11 waits forever in another interpreter before it reaches the
/// module's own code, because PyGILState_Ensure takes a lock that the thread already holds. From 3.13 on, the main
/// interpreter calls PyInit, whichever interpreter imports the module.
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

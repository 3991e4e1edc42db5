#pragma once

#include <exception>
#include <string>
#include <utility>

#include <pybind11/pybind11.h>

namespace adamcore::python {

// Functions that Python calls with an array of arguments. pybind11's functions take a tenth of a microsecond longer,
// which is a good part of a small step.

using FastFunction = PyObject* (*)(PyObject* self, PyObject* const* arguments, Py_ssize_t count);

inline PyMethodDef fast_method(const char* name, FastFunction function, const char* doc) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, doc};
}

/// Returns f(). If it throws, sets Python's error as pybind11 does, and returns `failed`.
template <class F, class Result>
Result translate_errors(F&& f, Result failed) {
    try {
        return std::forward<F>(f)();
    } catch (const std::exception&) {
        pybind11::detail::try_translate_exceptions();
        return failed;
    }
}

inline void require_arguments(Py_ssize_t count, std::size_t expected) {
    if (static_cast<std::size_t>(count) != expected)
        throw pybind11::type_error("expected " + std::to_string(expected) + " arguments, got " + std::to_string(count));
}

}  // namespace adamcore::python

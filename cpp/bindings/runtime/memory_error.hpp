#pragma once

#include <cstddef>
#include <string>

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// Raises MemoryError, which says what there is no memory for.
[[noreturn]] inline void throw_memory_error(const std::string& message) {
    PyErr_SetString(PyExc_MemoryError, message.c_str());
    throw pybind11::error_already_set();
}

/// "2.5 GiB" and the like, for messages.
std::string size_text(std::size_t bytes);

}  // namespace adamcore::python

#pragma once

#include <pybind11/pybind11.h>

namespace adamcore::python {

// Python's objects are scattered in memory. With thousands of them, a loop spends most of its time waiting for the next
// one, unless it prefetches objects a few iterations ahead.

inline void prefetch_line([[maybe_unused]] const void* memory) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(memory);
#endif
}

/// The header of a NumPy array, or of a tensor.
inline void prefetch_header(PyObject* array) noexcept {
    prefetch_line(array);
    prefetch_line(reinterpret_cast<const char*>(array) + 64);
}

}  // namespace adamcore::python

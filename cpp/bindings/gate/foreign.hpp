#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <pybind11/pybind11.h>

/// Other libraries' arrays, known without importing the libraries.
namespace adamcore::python {

namespace py = pybind11;

/// A Python str that lives for ever.
inline py::handle interned(const char* text) { return PyUnicode_InternFromString(text); }

/// The attribute, or null where there is none. No other exception than AttributeError is swallowed.
py::object find_attr(py::handle object, py::handle name);

/// Whether the object's type, or one that it derives from, is of that package.
bool is_from(py::handle object, std::string_view package);

/// Whether it is an array of some kind, and no structure of arrays: what is a buffer, speaks one of the protocols for
/// arrays, or has a shape and a dtype. Rows of such a thing may be copies.
bool holds_numbers(py::handle object);

inline bool is_torch(py::handle object) { return is_from(object, "torch"); }

/// The tensor itself, or where it requires gradients one over the same memory that does not. Raises ValueError for one
/// whose memory holds the negatives of its elements, which DLPack does not tell.
py::object plain_tensor(py::handle tensor, const std::string& label);

/// Where a tensor's memory is now; none for an object that does not say, or has lost its memory.
std::optional<std::uintptr_t> data_pointer(py::handle tensor);

/// To be called where `error` is caught: raises ValueError, `label`, `what` and the error, from it. What is no matter of
/// the array, such as KeyboardInterrupt, goes on as it is.
[[noreturn]] void refuse_because(py::error_already_set& error, const std::string& label, const std::string& what);

}  // namespace adamcore::python

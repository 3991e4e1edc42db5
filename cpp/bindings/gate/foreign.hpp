#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <pybind11/pybind11.h>

#include "runtime/interned.hpp"

/// Recognises arrays of other libraries without importing these libraries.
namespace adamcore::python {

namespace py = pybind11;

/// The attribute, or null if there is none. Only AttributeError is swallowed.
py::object find_attr(py::handle object, py::handle name);

/// Whether the object's type, or one of its base classes, is from this package.
bool is_from(py::handle object, std::string_view package);

/// Whether the object is some kind of array, and not a structure of arrays: it is a buffer, supports a protocol for
/// arrays, or has a shape and a dtype. The rows of such an object may be copies.
bool holds_numbers(py::handle object);

inline bool is_torch(py::handle object) { return is_from(object, "torch"); }

/// The tensor itself or, if it requires gradients, one over the same memory that does not. Raises ValueError for a lazy
/// negative view, whose memory contains the negated elements, because DLPack does not convey this.
py::object plain_tensor(py::handle tensor, const std::string& label);

/// Raises ValueError, which starts with `label`, for a lazy negative view.
[[noreturn]] void refuse_negative(const std::string& label);
/// The same for a lazy conjugate view.
[[noreturn]] void refuse_conjugate(const std::string& label);

/// Raises ValueError, which starts with `label`, if a tensor has no memory, as those of FakeTensorMode and those whose
/// storage has been freed: what it calls its address is only its offset.
void require_storage(py::handle tensor, const void* address, std::int64_t item_size, const std::string& label);

/// Whether an address is too large for an offset.
inline bool is_beyond_offsets(const void* address) { return reinterpret_cast<std::uintptr_t>(address) >> 32 > 0; }

/// The current address of a tensor's memory. Empty if the object does not tell it, or has lost its memory.
std::optional<std::uintptr_t> data_pointer(py::handle tensor);

/// Must be called where `error` is caught. Raises ValueError from `error`, with `label`, `what` and its message.
/// Exceptions that do not concern the array, such as KeyboardInterrupt, are passed on.
[[noreturn]] void refuse_because(py::error_already_set& error, const std::string& label, const std::string& what);

}  // namespace adamcore::python

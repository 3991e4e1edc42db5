#pragma once

#include <pybind11/pybind11.h>

/// Notifies libraries that adamcore has written to their arrays. Only this file does so.
namespace adamcore::python {

namespace py = pybind11;

/// Whether the array's library counts writes. PyTorch's tensors, except inference tensors, have a version, from which
/// backward() detects that values it needs have changed.
bool counts_writes(py::handle array);

/// Notifies the library of arrays that count writes, all of which have just been written. Runs no Python code, so that
/// no signal handler can run between a write and this call.
void note_written(const py::list& arrays);

/// The same for any arrays; those that do not count writes are ignored.
void note_written_among(const py::list& arrays);

}  // namespace adamcore::python

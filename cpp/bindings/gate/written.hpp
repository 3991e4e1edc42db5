#pragma once

#include <pybind11/pybind11.h>

/// Whom to tell that arrays have been written to. This is the one place that tells.
namespace adamcore::python {

namespace py = pybind11;

/// Whether the array's library counts writes: PyTorch's tensors, but for those of inference mode, carry a version, by
/// which backward() knows that values which it needs have changed.
bool counts_writes(py::handle array);

/// Tells the library of arrays that count writes, each of which has just been written to. Runs no Python code, so that no
/// signal handler comes between a write and this.
void note_written(const py::list& arrays);

/// The same of any arrays.
void note_written_among(const py::list& arrays);

}  // namespace adamcore::python

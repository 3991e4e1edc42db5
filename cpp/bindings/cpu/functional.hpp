#pragma once

#include "calls/bare.hpp"

namespace adamcore::python {

/// Lets NumPy arrays in, and other libraries' in the CPU's memory.
Gate numpy_gate();

/// One update of bare arrays, in place. Raises before anything has changed.
void update(const BareUpdate& update);

}  // namespace adamcore::python

#pragma once

#include <pybind11/pybind11.h>

#include "cpu/host_optimizer.hpp"

namespace adamcore::python {

/// Adds HostOptimizer::step() to its class, as a method that costs little to call.
void add_step(py::class_<HostOptimizer>& optimizer);

}  // namespace adamcore::python

#pragma once

#include <pybind11/pybind11.h>

#include "adamcore/cpu/float_environment.hpp"

namespace adamcore::python {

/// Every function that computes or compares numbers is defined with this. Other libraries may leave flush-to-zero,
/// another rounding mode or traps enabled, and results must not depend on that. (Schedules run inside this
/// environment.)
using Computes = pybind11::call_guard<cpu::FloatEnvironment>;

}  // namespace adamcore::python

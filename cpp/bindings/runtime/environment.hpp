#pragma once

#include <pybind11/pybind11.h>

#include "adamcore/cpu/float_environment.hpp"

namespace adamcore::python {

/// What every function that computes, or compares numbers, is defined with: other libraries leave flush-to-zero, another
/// rounding or traps behind, and it is to run as if they had not. (Schedules are called within.)
using Computes = pybind11::call_guard<cpu::FloatEnvironment>;

}  // namespace adamcore::python

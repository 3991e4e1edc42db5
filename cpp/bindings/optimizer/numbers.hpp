#pragma once

#include <vector>

#include <pybind11/pybind11.h>

/// Saving and loading the numbers that a rule keeps for the whole optimizer.
namespace adamcore::python {

namespace py = pybind11;

/// A dict of numbers by name.
py::dict saved_numbers(const std::vector<const char*>& names, const std::vector<double>& numbers);

/// Reads what saved_numbers() returned. Raises TypeError or ValueError, which names the number, if one is missing,
/// surplus or no real number, and if `checked`, also if it is not finite.
std::vector<double> loaded_numbers(const py::object& given, const std::vector<const char*>& names, bool checked);

}  // namespace adamcore::python

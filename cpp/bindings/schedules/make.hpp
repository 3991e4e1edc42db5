#pragma once

#include <memory>
#include <string>

#include <pybind11/pybind11.h>

#include "schedules/evaluator.hpp"

namespace adamcore::python {

/// The evaluator of a built-in schedule, made of its class' name and its arguments by name.
std::unique_ptr<Evaluator> make_evaluator(std::string name, py::dict arguments);

}  // namespace adamcore::python

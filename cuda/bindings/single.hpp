#pragma once

#include <string>
#include <vector>

#include "calls/bare.hpp"

/// What is done of device arrays without an optimizer: as in _core.
namespace adamcore::python {

void device_update(const BareUpdate& update);
double device_norm(const py::list& arrays, const std::vector<std::string>& labels);
double device_clip_norm(const py::list& arrays, const std::vector<std::string>& labels, double max_norm);
void device_clip_value(const py::list& arrays, const std::vector<std::string>& labels, double value);

}  // namespace adamcore::python

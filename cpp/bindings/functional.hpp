#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// One update of bare arrays, in place: `state[slot][i]` belongs to `params[i]`, whose update has number `t[i]`.
///
/// `names` are the arguments' names for error messages, the parameters', gradients' and each slot's; `indexed` says
/// whether the user passed lists, `renamed` what hyper-parameters are called. Raises before anything has changed.
void update(const std::string& rule, const std::string& owner, const py::dict& hyper, bool maximize,
            const py::list& params, const py::list& grads, const std::vector<py::list>& state,
            const std::vector<std::int64_t>& t, const std::vector<std::string>& names, bool indexed,
            const std::map<std::string, std::string>& renamed);

}  // namespace adamcore::python

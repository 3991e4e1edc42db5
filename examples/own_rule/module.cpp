// The rule in normalized_sgd.hpp as a Python function.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "normalized_sgd.hpp"
#include "step.hpp"

namespace py = pybind11;
using Array = py::array_t<float, py::array::c_style>;

void step_arrays(Array param, const Array& grad, Array buffer, std::int64_t t, double lr, double momentum) {
    if (grad.size() != param.size() || buffer.size() != param.size())
        throw py::value_error("grad and buffer must have the size of param");
    step<NormalizedSgd>(
        {adamcore::tensor<NormalizedSgd>(param.mutable_data(), grad.data(), param.size(), t, buffer.mutable_data())},
        {lr, momentum});
}

PYBIND11_MODULE(own_rule, m) {
    // Without noconvert(), an array of another type would be converted, and its copy updated.
    m.def("step", &step_arrays, py::arg("param").noconvert(), py::arg("grad").noconvert(),
          py::arg("buffer").noconvert(), py::arg("t"), py::arg("lr") = 1e-2, py::arg("momentum") = 0.9,
          "Do one step on contiguous arrays in float32, in place. t is the number of the step, from 1.");
}

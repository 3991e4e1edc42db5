// The emulation as tests drive it from Python.

#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "emulation.hpp"

namespace adamcore::python {

namespace py = pybind11;

void define_emulation(py::module_& m) {
    namespace emulation = cuda::emulation;
    m.def(
        "allocate",
        [](std::size_t bytes, int device) {
            return reinterpret_cast<std::uintptr_t>(emulation::allocate_for(device, bytes));
        },
        py::arg("bytes"), py::arg("device"));
    m.def(
        "free", [](std::uintptr_t address) { cuda::release(reinterpret_cast<void*>(address)); }, py::arg("address"));
    m.def("pretend", &emulation::pretend, py::arg("pretends"));
    m.def("run_backwards", &emulation::run_backwards, py::arg("backwards"));
    m.def("begin_capture", &emulation::begin_capture, py::arg("stream"));
    m.def("end_capture", &emulation::end_capture, py::arg("stream"));
    m.def("queue", &emulation::queue, py::arg("stream"), py::arg("what"), py::arg("work"));
    m.def("take_log", &emulation::take_log);
    m.def("live_allocations", &emulation::live_allocations);
}

}  // namespace adamcore::python

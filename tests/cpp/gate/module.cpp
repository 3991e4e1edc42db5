// The gate for CUDA arrays as a module of its own, without CUDA: what a pointer says of its device is made up.

#include <pybind11/stl.h>

#include "device_array.hpp"

namespace adamcore::cuda {

/// Memory at addresses below 4096 is on none, the rest on device 3.
int device_of(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) < 4096 ? -1 : 3; }

}  // namespace adamcore::cuda

PYBIND11_MODULE(cuda_gate, m) {
    namespace py = pybind11;
    using namespace adamcore::python;
    m.def("is_device_array", &is_device_array);
    m.def("describe", &describe, py::arg("array"), py::arg("write"), py::arg("label"), py::arg("stream"));
    m.def("current_stream", [](const std::string& library, int device) {
        return current_stream(library == "cupy"    ? Library::cupy
                              : library == "torch" ? Library::torch
                                                   : Library::other,
                              device);
    });
}

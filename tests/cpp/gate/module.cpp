// The gate for CUDA arrays as a module of its own, without CUDA: what a pointer says of its device is made up.

#include <pybind11/stl.h>

#include "device_array.hpp"

namespace adamcore::cuda {

/// Memory at addresses below 4096 is on none, the rest on device 3.
int device_of(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) < 4096 ? -1 : 3; }

}  // namespace adamcore::cuda

namespace {

namespace py = pybind11;
using namespace adamcore::python;

/// What is seen of an array.
py::dict describe(py::handle object, bool write, const std::string& label, std::uintptr_t stream) {
    const DeviceArray array = device_array(object, write ? Access::write : Access::read, label, stream);
    const auto tuple = [&](const Py_ssize_t* values) {
        py::tuple found(static_cast<std::size_t>(array.view.ndim));
        for (int i = 0; i < array.view.ndim; ++i) found[static_cast<std::size_t>(i)] = values[i];
        return found;
    };
    constexpr const char* libraries[] = {"cupy", "torch", "other"};
    py::dict found;
    found["ptr"] = reinterpret_cast<std::uintptr_t>(array.view.data);
    found["size"] = array.view.size;
    found["shape"] = tuple(array.view.shape);
    found["strides"] = tuple(array.view.strides);
    found["dtype"] = name_of(array.view.dtype);
    found["device"] = array.device;
    found["library"] = libraries[static_cast<int>(array.library)];
    found["stream"] = array.stream ? py::object(py::int_(*array.stream)) : py::none();
    found["read_only"] = array.read_only;
    return found;
}

}  // namespace

PYBIND11_MODULE(cuda_gate, m) {
    m.def("is_device_array", &is_device_array);
    m.def("describe", &describe, py::arg("array"), py::arg("write"), py::arg("label"), py::arg("stream"));
    m.def("current_stream", [](const std::string& library, int device) {
        return current_stream(library == "cupy"    ? Library::cupy
                              : library == "torch" ? Library::torch
                                                   : Library::other,
                              device);
    });
}

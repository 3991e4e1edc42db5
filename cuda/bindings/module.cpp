#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/version.hpp"
#include "define.hpp"
#include "optimizer.hpp"
#include "single.hpp"

namespace py = pybind11;

namespace adamcore::python {
namespace {

/// Names of the devices there are; without any, why.
std::pair<std::vector<std::string>, std::string> devices() {
    std::string reason;
    std::vector<std::string> names;
    const int count = cuda::device_count(&reason);
    for (int device = 0; device < count; ++device) names.push_back(cuda::device_name(device));
    return {names, reason};
}

}  // namespace

#if defined(ADAMCORE_CUDA_EMULATION)
void define_emulation(py::module_& m);

PYBIND11_MODULE(_emulated, m, py::mod_gil_not_used()) {
    define_emulation(m);
#else
PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
#endif
    m.doc() = "adamcore's part for CUDA arrays. Use the adamcore package instead.";
    m.attr("__version__") = ADAMCORE_VERSION;
    m.attr("architectures") = ADAMCORE_CUDA_ARCHITECTURES_TEXT;
    m.def("devices", &devices, "The names of the devices there are, and why there are none.");
    m.def("is_device_array", &is_device_array, py::arg("array"), "Whether this is an array in CUDA memory.");
    m.def("describe", &describe, py::arg("array"), py::arg("write"), py::arg("label"), py::arg("stream"),
          "What is seen of an array.");
    define_update(m, &device_update);
    define_norms(m, &device_norm, &device_clip_norm, &device_clip_value);

    py::class_<StepReport>(m, "StepReport", "What a step has to report, once it is done.")
        .def("read", &StepReport::read, "Wait for the device; return skipped, norm and culprit.");

    py::class_<Scaler>(m, "Scaler", "A loss scale on the device.")
        .def(py::init<int, py::object, std::uintptr_t>(), py::arg("device"), py::arg("memory"), py::arg("address"))
        .def_property_readonly_static("size", [](const py::object&) { return Scaler::size(); })
        .def_property_readonly_static("multiplier_offset",
                                      [](const py::object&) { return Scaler::multiplier_offset(); })
        .def_property_readonly("memory", &Scaler::memory)
        .def_property_readonly("device", &Scaler::device)
        .def("write", &Scaler::write, py::arg("numbers"), py::arg("stream"))
        .def("read", &Scaler::read);

    py::class_<DeviceOptimizer>(m, "Optimizer", "What an optimizer keeps natively.")
        .def(py::init<std::string, const py::dict&>(), py::arg("owner"), py::arg("options"))
        .def("add_group", &DeviceOptimizer::add_group, py::arg("hyper"), py::arg("params"), py::arg("names"),
             py::arg("labels"), py::arg("keys"), py::arg("variant_keys"), py::arg("variant"), py::arg("library"))
        .def("step", &DeviceOptimizer::step, py::arg("grads"), py::arg("param_groups"), py::arg("loss_scale"),
             py::arg("check"), py::arg("scaler"))
        .def("upload", &DeviceOptimizer::upload, py::arg("param_groups"))
        .def("order", &DeviceOptimizer::order, py::arg("stream"))
        .def("state", &DeviceOptimizer::state, py::arg("tensor"), py::arg("slot"))
        .def("slots", &DeviceOptimizer::slots, py::arg("tensor"))
        .def("steps", &DeviceOptimizer::steps, py::arg("tensor"))
        .def("all_steps", &DeviceOptimizer::all_steps)
        .def("set_steps", &DeviceOptimizer::set_steps, py::arg("tensor"), py::arg("steps"))
        .def_property("completed", &DeviceOptimizer::completed, &DeviceOptimizer::set_completed)
        .def_property_readonly("device", &DeviceOptimizer::device)
        .def("__len__", &DeviceOptimizer::size);
}

}  // namespace adamcore::python

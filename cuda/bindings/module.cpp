#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/version.hpp"
#include "calls.hpp"
#include "calls/define.hpp"
#include "device_optimizer.hpp"
#include "optimizer/define.hpp"
#include "runtime/interpreter.hpp"
#include "step_report.hpp"

namespace py = pybind11;

namespace adamcore::python {
namespace {

/// The names of the devices, or the reason why there are none.
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

ADAMCORE_MODULE(_emulated, m) {
    define_emulation(m);
#else
ADAMCORE_MODULE(_cuda, m) {
#endif
    m.doc() = "adamcore's module for CUDA arrays. Use the adamcore package instead.";
    m.attr("__version__") = ADAMCORE_VERSION;
    m.attr("architectures") = ADAMCORE_CUDA_ARCHITECTURES_TEXT;
    m.def("devices", &devices, "The names of the devices, and the reason if there are none.");
    m.def("is_device_array", &is_device_array, py::arg("array"), "Whether this is an array in CUDA memory.");
    define_errors();
    define_calls<DeviceCalls>(m);

    py::class_<StepReport>(m, "StepReport", "The result of a step, once it is done.")
        .def("read", &StepReport::read, "Wait for the device; return skipped, norm and culprit.");
    py::class_<StatisticsReport>(m, "StatisticsReport", "The statistics of a step, once it is done.")
        .def("read", &StatisticsReport::read, "Wait for the device; return the table's bytes and the norm.");

    py::class_<Scaler>(m, "Scaler", "A loss scale on the device.")
        .def(py::init<int, py::object, std::uintptr_t>(), py::arg("device"), py::arg("memory"), py::arg("address"))
        .def_property_readonly_static("size", [](const py::object&) { return Scaler::size(); })
        .def_property_readonly_static("multiplier_offset",
                                      [](const py::object&) { return Scaler::multiplier_offset(); })
        .def_property_readonly("memory", &Scaler::memory)
        .def_property_readonly("device", &Scaler::device)
        .def("write", &Scaler::write, py::arg("numbers"), py::arg("stream"), Computes())
        .def("read", &Scaler::read);

    auto optimizer = define_optimizer<DeviceOptimizer>(m, "DeviceOptimizer");
    optimizer
        .def(py::init([](std::string owner, const py::dict& options, py::object library) {
                 return std::make_unique<DeviceOptimizer>(std::move(owner), read_options(options), std::move(library));
             }),
             py::arg("owner"), py::arg("options"), py::arg("library"))
        .def("step", &DeviceOptimizer::step, py::arg("grads"), py::arg("param_groups"), py::arg("loss_scale"),
             py::arg("check"), py::arg("scaler"), py::arg("weight"), py::arg("columns"), Computes())
        .def("accumulate", &DeviceOptimizer::accumulate, py::arg("grads"), py::arg("param_groups"), py::arg("weight"),
             Computes())
        .def("upload", &DeviceOptimizer::upload, py::arg("param_groups"), py::arg("steps"), Computes())
        .def_property_readonly("device", &DeviceOptimizer::device);
}

}  // namespace adamcore::python

// The emulation's interface for tests in Python. All functions release the GIL, because what they wait for may need it.

#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "emulation.hpp"
#include "gate/dlpack_abi.hpp"
#include "world.hpp"

namespace adamcore::python {

namespace py = pybind11;

namespace {

namespace abi = dlpack::abi;

/// DLPack's exchange interface of tensors on emulated devices, each of which has a tensor of the CPU as `inner` and its
/// device's index as `device_index`. There is one, because its functions get no context.
struct DeviceTensors {
    const abi::Exchange* of_host = nullptr;
    PyObject* current_stream = nullptr;
    abi::Exchange exchange{};
};
DeviceTensors device_tensors;

int describe_device_tensor(void* object, abi::Tensor* out) {
    static PyObject* const inner = PyUnicode_InternFromString("inner");
    static PyObject* const index = PyUnicode_InternFromString("device_index");
    auto* const tensor = static_cast<PyObject*>(object);
    const auto of_host = py::reinterpret_steal<py::object>(PyObject_GetAttr(tensor, inner));
    if (!of_host || device_tensors.of_host->describe(of_host.ptr(), out) != 0) return -1;
    const auto device = py::reinterpret_steal<py::object>(PyObject_GetAttr(tensor, index));
    if (!device) return -1;
    out->device = {2, static_cast<std::int32_t>(PyLong_AsLong(device.ptr()))};
    return PyErr_Occurred() ? -1 : 0;
}

int current_stream_of_tensors(std::int32_t, std::int32_t device, void** stream) {
    const auto found =
        py::reinterpret_steal<py::object>(PyObject_CallFunction(device_tensors.current_stream, "i", int(device)));
    if (!found) return -1;
    *stream = PyLong_AsVoidPtr(found.ptr());
    return PyErr_Occurred() ? -1 : 0;
}

/// `of_host` is the interface of the CPU's tensors, and `current_stream(device)` returns a stream's number.
py::capsule exchange_of_device_tensors(const py::capsule& of_host, const py::function& current_stream) {
    device_tensors.of_host = of_host.get_pointer<const abi::Exchange>();
    device_tensors.current_stream = current_stream.inc_ref().ptr();
    device_tensors.exchange.header = {{abi::major_version, 3}, nullptr};
    device_tensors.exchange.describe = describe_device_tensor;
    device_tensors.exchange.current_stream = current_stream_of_tensors;
    return py::capsule(&device_tensors.exchange, abi::Exchange::name);
}

}  // namespace

void define_emulation(py::module_& m) {
    namespace emulation = cuda::emulation;
    using cuda::Event;
    using cuda::Stream;
    using Free = py::call_guard<py::gil_scoped_release>;
    const auto address = [](void* memory) { return reinterpret_cast<std::uintptr_t>(memory); };
    const auto memory = [](std::uintptr_t at) {
        return reinterpret_cast<void*>(at);
    };  // NOLINT(performance-no-int-to-ptr)
    m.def(
        "allocate", [=](std::size_t bytes, int device) { return address(emulation::allocate_for(device, bytes)); },
        py::arg("bytes"), py::arg("device"));
    m.def(
        "release", [=](std::uintptr_t at, Stream stream) { emulation::release_on(memory(at), stream); },
        py::arg("address"), py::arg("stream"), Free());
    m.def(
        "adopt", [=](std::uintptr_t at, std::size_t bytes, int device) { emulation::adopt(memory(at), bytes, device); },
        py::arg("address"), py::arg("bytes"), py::arg("device"));
    m.def(
        "forget", [=](std::uintptr_t at) { emulation::forget(memory(at)); }, py::arg("address"));
    m.def(
        "device_of", [=](std::uintptr_t at) { return cuda::device_of(memory(at)); }, py::arg("address"));
    m.def("live_allocations", &emulation::live_allocations);
    m.def("set_device", &emulation::set_device, py::arg("device"));
    m.def("current_device", &emulation::current_device);
    m.def("pretend", &emulation::pretend, py::arg("pretends"));
    m.def("run_backwards", &emulation::run_backwards, py::arg("backwards"));
    m.def(
        "set_schedule",
        [](const std::string& name, std::uint32_t seed) {
            emulation::set_schedule(name == "eager"  ? emulation::Schedule::eager
                                    : name == "lazy" ? emulation::Schedule::lazy
                                                     : emulation::Schedule::random,
                                    seed);
        },
        py::arg("schedule"), py::arg("seed") = 0);
    m.def("take_log", &emulation::take_log);

    m.def("make_stream", &emulation::make_stream, py::arg("blocking"));
    m.def("queue", &emulation::queue, py::arg("stream"), py::arg("what"), py::arg("work"), Free());
    m.def("queue_callback", &emulation::queue_callback, py::arg("stream"), py::arg("work"), Free());
    m.def("queue_delay", &emulation::queue_delay, py::arg("stream"), py::arg("milliseconds"), Free());
    m.def("synchronize", py::overload_cast<>(&emulation::synchronize), Free());
    m.def("synchronize", py::overload_cast<Stream>(&emulation::synchronize), py::arg("stream"), Free());
    m.def(
        "is_capturing", [](Stream stream) { return cuda::capturing_of(stream) == cuda::Capturing::yes; },
        py::arg("stream"));

    py::class_<Event>(m, "Event")
        .def(py::init<>())
        .def("record", &Event::record, py::arg("stream"), Free())
        .def("hold", &Event::hold, py::arg("stream"), Free())
        .def("is_past", &Event::is_past, Free())
        .def("wait", &Event::wait, Free());

    py::class_<emulation::Graph, std::shared_ptr<emulation::Graph>>(m, "Graph")
        .def(
            "launch",
            [](const std::shared_ptr<emulation::Graph>& graph, Stream stream) { emulation::launch(graph, stream); },
            py::arg("stream"), Free());
    m.def(
        "begin_capture",
        [](Stream stream, const std::string& mode) {
            emulation::begin_capture(stream, mode == "global"         ? emulation::CaptureMode::global
                                             : mode == "thread_local" ? emulation::CaptureMode::thread_local_only
                                                                      : emulation::CaptureMode::relaxed);
        },
        py::arg("stream"), py::arg("mode") = "relaxed", Free());
    m.def(
        "end_capture",
        [](Stream stream) { return std::const_pointer_cast<emulation::Graph>(emulation::end_capture(stream)); },
        py::arg("stream"), Free());

    m.def("exchange_of_device_tensors", &exchange_of_device_tensors, py::arg("of_host"), py::arg("current_stream"));

    m.def("inject_fault", &emulation::inject_fault, py::arg("kind"), py::arg("nth"), py::arg("sticky") = false);
    m.def("clear_faults", &emulation::clear_faults);
}

}  // namespace adamcore::python

#include "device_array.hpp"

#include <utility>

#include "gate/dlpack.hpp"
#include "gate/foreign.hpp"
#include "interface.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_cupy(py::handle object) {
    static const py::handle data = interned("data");
    return is_from(object, "cupy") && find_attr(object, data);
}

/// The library's module if it has been imported. Nothing here imports a library.
py::object imported(const char* name) {
    return py::reinterpret_borrow<py::object>(PyDict_GetItemString(PyImport_GetModuleDict(), name));
}

/// Stream 0 is the legacy stream, which the protocols call 1.
std::uintptr_t named(std::uintptr_t stream) { return stream == 0 ? 1 : stream; }

[[noreturn]] void refuse_host(py::handle object, const std::string& label) {
    throw py::type_error(label + ": the array (" + type_name(object) + ") is not on a CUDA device");
}

/// Makes the device current, because PyTorch lends only arrays on its current device.
class CurrentDevice {
public:
    CurrentDevice(py::handle object, int device) {
        const py::object torch = is_torch(object) ? imported("torch") : py::object();
        if (!torch) return;
        const py::object cuda = torch.attr("cuda");
        if (cuda.attr("current_device")().cast<int>() == device) return;
        guard_ = cuda.attr("device")(device);
        guard_.attr("__enter__")();
    }
    CurrentDevice(const CurrentDevice&) = delete;
    CurrentDevice& operator=(const CurrentDevice&) = delete;
    ~CurrentDevice() {
        if (!guard_) return;
        const py::error_scope scope;
        try {
            guard_.attr("__exit__")(py::none(), py::none(), py::none());
        } catch (py::error_already_set& error) {
            error.discard_as_unraisable("leaving torch.cuda.device");
        }
    }

private:
    py::object guard_;
};

DeviceArray from_cupy(py::handle object, const std::string& label) {
    DeviceArray array;
    array.library = Library::cupy;
    array.owner = py::reinterpret_borrow<py::object>(object);
    static const py::handle data = interned("data"), pointer = interned("ptr"), device_id = interned("device_id"),
                            shape = interned("shape"), strides = interned("strides"), dtype = interned("dtype");
    try {
        const Element element = element_of_object(object.attr(dtype), label);
        array.view.dtype = element.dtype;
        array.view.is_complex = element.is_complex;
        const py::object memory = object.attr(data);
        array.view.data = reinterpret_cast<char*>(memory.attr(pointer).cast<std::uintptr_t>());
        const py::object id = find_attr(memory, device_id);
        array.device = (id ? id : py::object(object.attr("device").attr("id"))).cast<int>();
        append_integers(object.attr(shape), array.axes);
        int ndim = static_cast<int>(array.axes.size());
        append_integers(object.attr(strides), array.axes);
        if (element.is_complex) append_pairs(array.axes, ndim, array.view.item_size());
        lay_out(array.view, array.axes, ndim, label);
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "the CuPy array cannot be used");
    } catch (const py::cast_error&) {
        throw py::value_error(label + ": the CuPy array cannot be used");
    }
    array.stream = current_stream(Library::cupy, array.device);
    return array;
}

DeviceArray from_dlpack(py::handle object, Access access, const std::string& label, std::uintptr_t stream) {
    DeviceArray array;
    const dlpack::Device device = dlpack::device_of(object, label);
    if (!device.is_cuda()) refuse_host(object, label);
    if (is_torch(object)) {
        array.library = Library::torch;
        array.stream = current_stream(Library::torch, device.id);
    }
    // -1: the consumer waits for the library's stream, which is known.
    dlpack::Stream told;
    told.number = array.stream ? -1 : static_cast<std::int64_t>(named(stream));
    const CurrentDevice guard(object, device.id);
    dlpack::Loan loan = dlpack::borrow(object, access, told, label);
    if (!loan.device.is_cuda()) refuse_host(object, label);
    if (loan.device.id != device.id)
        throw py::value_error(label + ": its __dlpack_device__() names CUDA device " + std::to_string(device.id) +
                              ", but __dlpack__() lends memory of device " + std::to_string(loan.device.id));
    // A producer that is not told a stream makes the legacy stream wait.
    if (!array.stream && !told.was_told) array.stream = 1;
    array.view = loan.view;
    array.axes = std::move(loan.axes);
    array.device = loan.device.id;
    array.read_only = loan.read_only;
    array.owner = std::move(loan.owner);
    return array;
}

DeviceArray from_interface(py::handle object, const py::object& fields, const std::string& label) {
    DeviceArray array;
    array.owner = py::reinterpret_borrow<py::object>(object);
    Interface read = read_interface(object, fields, label);
    array.view.dtype = read.element.dtype;
    array.view.is_complex = read.element.is_complex;
    if (read.element.is_complex) append_pairs(read.axes, read.ndim, array.view.item_size());
    array.view.data = reinterpret_cast<char*>(read.data);
    array.read_only = read.read_only;
    array.stream = read.stream;
    array.axes = read.axes;
    lay_out(array.view, array.axes, read.ndim, label);
    if (array.view.size > 0) array.device = cuda::device_of(array.view.data);
    if (array.device < 0) refuse_host(object, label);
    return array;
}

/// __cuda_array_interface__, or null. If its getter raises anything but AttributeError, this raises an error.
py::object interface_of(py::handle object, const std::string& label) {
    static const py::handle name = interned("__cuda_array_interface__");
    try {
        return find_attr(object, name);
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "its __cuda_array_interface__ raised");
    }
}

DeviceArray from_any(py::handle object, Access access, const std::string& label, std::uintptr_t stream) {
    if (is_cupy(object)) return from_cupy(object, label);
    if (dlpack::is_producer(object)) return from_dlpack(object, access, label, stream);
    const py::object fields = interface_of(object, label);
    if (fields) return from_interface(object, fields, label);
    throw py::type_error(label + ": expected a CUDA array, got " + type_name(object));
}

}  // namespace

bool is_device_array(py::handle object) {
    if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyDict_Check(object.ptr())) return false;
    try {
        if (is_cupy(object)) return true;
        if (dlpack::is_producer(object)) return dlpack::device_of(object, "").is_cuda();
        return static_cast<bool>(interface_of(object, ""));
    } catch (const std::exception&) {
        return false;
    }
}

DeviceArray device_array(py::handle object, Access access, const std::string& label, std::uintptr_t stream) {
    DeviceArray array = from_any(object, access, label, stream);
    require_usable(array.view, access, {array.read_only, is_aligned(array.view)}, label);
    return array;
}

void require_device(const DeviceArray& array, int& device, const char* others, const std::string& label) {
    if (array.view.size == 0) return;
    if (device < 0) device = array.device;
    if (array.device == device) return;
    throw py::value_error(label + ": the array is on CUDA device " + std::to_string(array.device) + ", but " + others +
                          " are on device " + std::to_string(device) + "; all must be on one device");
}

std::optional<std::uintptr_t> current_stream(Library library, int device) {
    if (library == Library::other) return std::nullopt;
    const py::object module = imported(library == Library::cupy ? "cupy" : "torch");
    if (!module) return std::nullopt;
    static const py::handle cuda = interned("cuda"), get = interned("get_current_stream"),
                            current = interned("current_stream"), pointer = interned("ptr"),
                            handle = interned("cuda_stream");
    const py::object number = library == Library::cupy ? py::object(module.attr(cuda).attr(get)(device).attr(pointer))
                                                       : module.attr(cuda).attr(current)(device).attr(handle);
    return named(number.cast<std::uintptr_t>());
}

}  // namespace adamcore::python

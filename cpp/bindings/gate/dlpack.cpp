#include "gate/dlpack.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "adamcore/storage/layout.hpp"
#include "gate/dlpack_abi.hpp"
#include "gate/foreign.hpp"
#include "runtime/gil.hpp"
#include "runtime/text.hpp"

namespace adamcore::python::dlpack {
namespace {

/// Returns the memory to its owner. Deleters may run Python code, even while an exception is being handled.
template <class Managed>
void give_back(PyObject* owner) {
    const py::error_scope scope;
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(owner, PyCapsule_GetName(owner)));
    if (managed && managed->deleter) managed->deleter(managed);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(owner);
}

/// Takes over the contents of a capsule, as the protocol demands. It would be enough to hold the capsule if it has a
/// destructor and if nobody else takes over its contents; this works in all cases. From here on the deleter is called
/// once, when the returned object is destroyed.
template <class Managed>
py::object take_over(py::handle capsule, const Managed*& managed) {
    auto* held = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Managed::name));
    if (!held) throw py::error_already_set();
    auto owner = py::reinterpret_steal<py::object>(PyCapsule_New(held, "adamcore.loan", nullptr));
    if (!owner || PyCapsule_SetName(capsule.ptr(), Managed::used_name) != 0) throw py::error_already_set();
    PyCapsule_SetDestructor(owner.ptr(), give_back<Managed>);
    managed = held;
    return owner;
}

/// Calls __dlpack__ with all arguments of version 1, and then without them, for producers that do not support it.
py::object request_capsule(py::handle object, Stream& stream, const std::string& label) {
    const py::object number = stream.number ? py::object(py::int_(*stream.number)) : py::none();
    py::dict arguments;
    arguments["stream"] = number;
    arguments["max_version"] = py::make_tuple(abi::major_version, 0);
    arguments["copy"] = false;
    try {
        const py::object produce = object.attr("__dlpack__");
        for (const char* dropped : {"copy", "max_version", "stream"}) {
            try {
                stream.was_told = arguments.contains("stream");
                return run_python([&]() -> py::object { return produce(**arguments); });
            } catch (py::error_already_set& error) {
                if (!error.matches(PyExc_TypeError)) throw;
            }
            arguments.attr("pop")(dropped);
        }
        stream.was_told = false;
        return run_python([&]() -> py::object { return produce(); });
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "its __dlpack__() raised");
    }
}

std::string dtype_text(abi::DataType dtype) {
    const std::string bits = std::to_string(dtype.bits);
    const std::string lanes = dtype.lanes == 1 ? "" : "x" + std::to_string(dtype.lanes);
    switch (dtype.code) {
        case abi::signed_int: return "int" + bits + lanes;
        case abi::unsigned_int: return "uint" + bits + lanes;
        case abi::floating: return "float" + bits + lanes;
        case abi::bfloat: return "bfloat" + bits + lanes;
        case abi::complex: return "complex" + bits + lanes;
        case abi::boolean: return "bool" + lanes;
        default: return "of DLPack's code " + std::to_string(dtype.code) + " with " + bits + " bits" + lanes;
    }
}

Element element_of_tensor(abi::DataType dtype, const std::string& label) {
    if (dtype.lanes == 1 && dtype.code == abi::floating) {
        if (dtype.bits == 16) return {Dtype::float16};
        if (dtype.bits == 32) return {Dtype::float32};
        if (dtype.bits == 64) return {Dtype::float64};
    }
    if (dtype.lanes == 1 && dtype.code == abi::complex) {
        if (dtype.bits == 64) return {Dtype::float32, true};
        if (dtype.bits == 128) return {Dtype::float64, true};
    }
    if (dtype.lanes == 1 && dtype.code == abi::bfloat && dtype.bits == 16) return {Dtype::bfloat16};
    refuse_dtype(dtype_text(dtype), label);
}

void require_major(abi::Version version, const std::string& label) {
    if (version.major != abi::major_version)
        throw py::value_error(label + ": its __dlpack__() returned version " + std::to_string(version.major) + "." +
                              std::to_string(version.minor) + " of DLPack, but adamcore requested 1.0");
}

Loan open(py::handle capsule, Access access, const std::string& label) {
    Loan loan;
    if (PyCapsule_IsValid(capsule.ptr(), abi::ManagedVersioned::name)) {
        const abi::ManagedVersioned* managed = nullptr;
        loan.owner = take_over(capsule, managed);
        require_major(managed->version, label);
        if (access == Access::write && managed->flags & abi::copied_flag)
            throw py::value_error(label +
                                  ": its __dlpack__() returns a copy, so an update would not change the array itself");
        loan.read_only = managed->flags & abi::read_only_flag;
        look_at(managed->tensor, loan, label);
        return loan;
    }
    if (!PyCapsule_IsValid(capsule.ptr(), abi::Managed::name))
        throw py::type_error(label + ": its __dlpack__() returned " + repr_of(capsule) +
                             ", not a tensor in an unused DLPack capsule");
    const abi::Managed* managed = nullptr;
    loan.owner = take_over(capsule, managed);
    if (access == Access::write)
        throw py::value_error(label +
                              ": the array is read-only and cannot be updated in place: its __dlpack__() does not "
                              "declare it writable, which requires DLPack 1.0 (as with JAX, whose arrays are "
                              "immutable); pass an array of a library that does");
    look_at(managed->tensor, loan, label);
    return loan;
}

}  // namespace

void look_at(const abi::Tensor& tensor, Loan& loan, const std::string& label) {
    loan.device = tensor.device;
    const Element element = element_of_tensor(tensor.dtype, label);
    loan.view.dtype = element.dtype;
    loan.view.is_complex = element.is_complex;
    if (tensor.ndim < 0 || tensor.ndim > max_axes || (tensor.ndim > 0 && !tensor.shape))
        throw py::value_error(label + ": it describes an array of " + std::to_string(tensor.ndim) +
                              " axes, or without a shape");
    loan.axes.assign(tensor.shape, tensor.shape + tensor.ndim);
    const auto item_size = (element.is_complex ? 2 : 1) * loan.view.item_size();
    for (int i = 0; tensor.strides && i < tensor.ndim; ++i) {
        const std::int64_t most = std::numeric_limits<Py_ssize_t>::max() / item_size;
        loan.axes.push_back(std::clamp(tensor.strides[i], -most, most) * item_size);
    }
    int ndim = tensor.ndim;
    if (element.is_complex) append_pairs(loan.axes, ndim, loan.view.item_size());
    lay_out(loan.view, loan.axes, ndim, label);
    if (tensor.data) loan.view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
    if (!tensor.data && loan.view.size > 0) throw py::value_error(label + ": it describes an array without memory");
}

bool is_producer(py::handle object) {
    static const py::handle name = interned("__dlpack__");
    return static_cast<bool>(find_attr(object, name));
}

Device device_of(py::handle object, const std::string& label) {
    try {
        const auto [type, id] = run_python([&]() -> py::object {
                                    return object.attr("__dlpack_device__")();
                                }).cast<std::pair<py::int_, py::int_>>();
        return {type.cast<std::int32_t>(), id.cast<std::int32_t>()};
    } catch (py::error_already_set& error) {
        refuse_because(error, label, "its __dlpack_device__() raised");
    } catch (const py::cast_error&) {
        throw py::value_error(label + ": its __dlpack_device__() must return a pair of integers");
    }
}

Loan borrow(py::handle object, Access access, Stream& stream, const std::string& label) {
    const py::object lender =
        is_torch(object) ? plain_tensor(object, label) : py::reinterpret_borrow<py::object>(object);
    Loan loan = open(request_capsule(lender, stream, label), access, label);
    if (is_torch(object))
        require_storage(object, loan.view.data, static_cast<std::int64_t>(loan.view.element().size()), label);
    return loan;
}

}  // namespace adamcore::python::dlpack

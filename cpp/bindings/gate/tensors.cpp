#include "gate/tensors.hpp"

#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

namespace abi = dlpack::abi;

/// A module that has been imported, or null. Nothing here imports one.
py::object imported(py::handle name) {
    PyObject* const found = PyDict_GetItemWithError(PyImport_GetModuleDict(), name.ptr());
    if (!found && PyErr_Occurred()) throw py::error_already_set();
    return py::reinterpret_borrow<py::object>(found);
}

bool is_parameter(const py::object& torch, PyTypeObject* type) {
    static const py::handle nn = interned("nn"), parameter = interned("Parameter");
    const py::object module = find_attr(torch, nn);
    const py::object found = module ? find_attr(module, parameter) : py::object();
    return found && found.ptr() == reinterpret_cast<PyObject*>(type);
}

/// The attribute of the type itself and not of a base class.
py::object own_attribute(PyTypeObject* type, py::handle name) {
#if PY_VERSION_HEX >= 0x030C0000
    const auto own = py::reinterpret_steal<py::object>(PyType_GetDict(type));
#else
    const auto own = py::reinterpret_borrow<py::object>(type->tp_dict);
#endif
    PyObject* const found = own ? PyDict_GetItemWithError(own.ptr(), name.ptr()) : nullptr;
    if (!found && PyErr_Occurred()) throw py::error_already_set();
    return py::reinterpret_borrow<py::object>(found);
}

/// The functions of a version that is known here, or null.
const abi::Exchange* functions_of(const py::object& capsule) {
    if (!capsule || !PyCapsule_IsValid(capsule.ptr(), abi::Exchange::name)) return nullptr;
    auto* header = static_cast<const abi::ExchangeHeader*>(PyCapsule_GetPointer(capsule.ptr(), abi::Exchange::name));
    while (header && header->version.major > abi::major_version) header = header->previous;
    if (!header || header->version.major != abi::major_version) return nullptr;
    const auto* exchange = reinterpret_cast<const abi::Exchange*>(header);
    return exchange->describe ? exchange : nullptr;
}

}  // namespace

TensorType TensorType::known_[most_];
std::size_t TensorType::count_ = 0;

const TensorType* TensorType::discover(PyTypeObject* type) {
    static const py::handle torch_name = interned("torch"), tensor_name = interned("Tensor"),
                            attribute = interned(abi::Exchange::attribute), is_neg = interned("is_neg"),
                            is_conj = interned("is_conj"), native_name = interned("_C"),
                            to_dlpack_name = interned("_to_dlpack");
    const py::object torch = imported(torch_name);
    const py::object base = torch ? find_attr(torch, tensor_name) : py::object();
    if (!base || !PyType_Check(base.ptr())) return nullptr;
    auto* const tensor = reinterpret_cast<PyTypeObject*>(base.ptr());
    if (!PyType_IsSubtype(type, tensor)) return nullptr;
    const bool is_plain = type == tensor || is_parameter(torch, type);
    const abi::Exchange* const exchange =
        functions_of(is_plain ? find_attr(base, attribute) : own_attribute(type, attribute));
    if (!is_plain && !exchange) return nullptr;
    py::object to_dlpack;
    if (!exchange) {
        const py::object native = find_attr(torch, native_name);
        to_dlpack = native ? find_attr(native, to_dlpack_name) : py::object();
        if (!to_dlpack) return nullptr;
    }
    TensorType found;
    const auto object = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(type));
    const Method negative = find_method(object, is_neg), conjugate = find_method(object, is_conj);
    found.exchange_ = exchange;
    // The code that has run may have come here too.
    if (const TensorType* known = find(type)) return known;
    if (count_ == most_) return nullptr;
    found.type_ = reinterpret_cast<PyTypeObject*>(object.inc_ref().ptr());
    found.is_neg_ = negative;
    found.to_dlpack_ = to_dlpack.release().ptr();
    found.is_conj_ = conjugate;
    known_[count_] = found;
    return &known_[count_++];
}

TensorType::Method TensorType::find_method(const py::object& type, py::handle name) {
    Method method;
    py::object found = find_attr(type, name);
    if (found && Py_IS_TYPE(found.ptr(), &PyMethodDescr_Type)) {
        const PyMethodDef* const definition = reinterpret_cast<const PyMethodDescrObject*>(found.ptr())->d_method;
        if (definition->ml_flags == METH_NOARGS) method.function = definition->ml_meth;
    }
    method.object = found.release().ptr();
    return method;
}

bool TensorType::says(const Method& method, py::handle tensor) {
    if (!method.object) return false;
    PyObject* const argument = tensor.ptr();
    const auto said = run_python([&] {
        return py::reinterpret_steal<py::object>(method.function
                                                     ? method.function(argument, nullptr)
                                                     : PyObject_Vectorcall(method.object, &argument, 1, nullptr));
    });
    const int truth = said ? PyObject_IsTrue(said.ptr()) : -1;
    if (truth < 0) throw py::error_already_set();
    return truth != 0;
}

bool TensorType::lend(py::handle tensor, Description& out) const noexcept {
    PyObject* const argument = tensor.ptr();
    out.lent = py::reinterpret_steal<py::object>(PyObject_Vectorcall(to_dlpack_, &argument, 1, nullptr));
    if (!out.lent) PyErr_Clear();
    if (!out.lent || !PyCapsule_IsValid(out.lent.ptr(), abi::Managed::name)) return false;
    out.tensor = static_cast<const abi::Managed*>(PyCapsule_GetPointer(out.lent.ptr(), abi::Managed::name))->tensor;
    return true;
}

std::optional<std::uintptr_t> TensorType::current_stream(int device) const noexcept {
    constexpr std::int32_t cuda = 2;
    void* stream = nullptr;
    if (!exchange_ || !exchange_->current_stream) return std::nullopt;
    if (exchange_->current_stream(cuda, device, &stream) == 0) return reinterpret_cast<std::uintptr_t>(stream);
    PyErr_Clear();
    return std::nullopt;
}

bool is_like(const abi::Tensor& tensor, Element element, int ndim, const Py_ssize_t* shape,
             const Py_ssize_t* strides) noexcept {
    const abi::DataType expected = abi::data_type_of(element);
    if (tensor.dtype.code != expected.code || tensor.dtype.bits != expected.bits || tensor.dtype.lanes != 1)
        return false;
    if (tensor.ndim != ndim) return false;
    // As unsigned numbers, because the product may overflow.
    const auto item = static_cast<std::uint64_t>(element.size());
    bool same_strides = true, empty = false;
    for (int i = 0; i < ndim; ++i) {
        const std::int64_t length = tensor.shape[i];
        if (length != shape[i]) return false;
        empty |= length == 0;
        same_strides &= length == 1 || (tensor.strides && static_cast<std::uint64_t>(tensor.strides[i]) * item ==
                                                              static_cast<std::uint64_t>(strides[i]));
    }
    return same_strides || empty;
}

}  // namespace adamcore::python

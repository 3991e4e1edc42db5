#include "gate/arrays.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gate/dlpack.hpp"
#include "gate/foreign.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

/// ml_dtypes.bfloat16, or null if it has not been imported; then no array has this dtype.
PyObject* bfloat16_type() {
    static PyObject* found = nullptr;
    if (!found) {
        const py::object modules = py::module_::import("sys").attr("modules");
        if (modules.contains("ml_dtypes"))
            found = py::getattr(modules["ml_dtypes"], "bfloat16", py::none()).release().ptr();
    }
    return found == Py_None ? nullptr : found;
}

std::optional<Element> supported_element(const py::dtype& dtype) {
    const char kind = dtype.kind();
    if (kind != 'f' && kind != 'c') {
        const bool is_bfloat16 = dtype.itemsize() == 2 && dtype.attr("type").ptr() == bfloat16_type();
        return is_bfloat16 ? std::optional(Element{Dtype::bfloat16}) : std::nullopt;
    }
    if (dtype.byteorder() != '=' && dtype.byteorder() != '|') return std::nullopt;
    const bool is_complex = kind == 'c';
    switch (dtype.itemsize() / (is_complex ? 2 : 1)) {
        case 2: return Element{Dtype::float16};
        case 4: return Element{Dtype::float32, is_complex};
        case 8: return Element{Dtype::float64, is_complex};
        default: return std::nullopt;
    }
}

Element element_of_array(const py::array& array, const std::string& label) {
    const py::dtype dtype = array.dtype();
    if (const auto found = supported_element(dtype)) return *found;
    const bool is_number = dtype.kind() == 'f' || dtype.kind() == 'c';
    if (is_number && dtype.byteorder() != '=' && supported_element(dtype.attr("newbyteorder")("=")))
        throw py::type_error(label + ": dtype " + repr_of(dtype) +
                             " is not in this machine's byte order; convert it with "
                             "a.astype(a.dtype.newbyteorder('='))");
    refuse_dtype(dtype_name(array), label);
}

bool has_cuda_interface(py::handle object) {
    static const py::handle name = interned("__cuda_array_interface__");
    return static_cast<bool>(find_attr(object, name));
}

[[noreturn]] void refuse_kind(py::handle object, Access access, const std::string& label) {
    std::string hint;
    if (holds_numbers(object))
        hint = access == Access::read ? "; pass np.asarray(a)"
                                      : "; pass a = np.asarray(...), and copy the result back after the update";
    throw py::type_error(label + ": expected a NumPy array, got " + type_name(object) + hint);
}

[[noreturn]] void refuse_cuda(py::handle object, const std::string& label) {
    throw py::type_error(label + ": a CUDA array (" + type_name(object) +
                         ") cannot be mixed with CPU arrays in one optimizer or call");
}

/// A NumPy array that is a view of borrowed memory.
py::array over(dlpack::Loan loan, const std::string& label) {
    const ArrayView& view = loan.view;
    try {
        const int ndim = view.own_ndim();
        py::array array(numpy_dtype(view.element()), py::array::ShapeContainer(view.shape, view.shape + ndim),
                        py::array::StridesContainer(view.strides, view.strides + ndim), view.data, loan.owner);
        if (loan.read_only) array_proxy(array.ptr())->flags &= ~npy_api::NPY_ARRAY_WRITEABLE_;
        return array;
    } catch (const py::import_error& error) {
        throw py::import_error(label + ": " + error.what());
    }
}

/// Adds the axis of real and imaginary parts.
void see_pairs(ArrayView& view) {
    auto axes = std::make_shared<std::vector<Py_ssize_t>>(view.shape, view.shape + view.ndim);
    axes->insert(axes->end(), view.strides, view.strides + view.ndim);
    axes->insert(axes->begin() + view.ndim, 2);
    axes->push_back(view.item_size());
    ++view.ndim;
    view.size *= 2;
    view.shape = axes->data();
    view.strides = axes->data() + view.ndim;
    view.is_complex = true;
    view.pair_axes = std::move(axes);
}

}  // namespace

bool is_one_array(py::handle object) {
    if (is_numpy(object)) return true;
    if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyDict_Check(object.ptr())) return false;
    return dlpack::is_producer(object) || has_cuda_interface(object);
}

bool is_number(py::handle object) {
    static PyObject* const generic = py::module_::import("numpy").attr("generic").cast<py::object>().release().ptr();
    return PyFloat_Check(object.ptr()) || PyComplex_Check(object.ptr()) ||
           PyObject_TypeCheck(object.ptr(), reinterpret_cast<PyTypeObject*>(generic));
}

py::object array_of_number(py::handle number) {
    PyObject* const array = npy_api::get().PyArray_FromAny_(number.ptr(), nullptr, 0, 0, 0, nullptr);
    if (!array) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(array);
}

py::object as_numpy(py::handle object, Access access, const std::string& label) {
    if (is_exactly_numpy(object)) return py::reinterpret_borrow<py::object>(object);
    if (is_numpy(object)) {
        require_no_mask(object, label);
        return py::reinterpret_borrow<py::object>(object);
    }
    if (!is_one_array(object)) refuse_kind(object, access, label);
    if (!dlpack::is_producer(object)) refuse_cuda(object, label);
    require_host(dlpack::device_of(object, label), object, label);
    dlpack::Stream no_stream;
    dlpack::Loan loan = dlpack::borrow(object, access, no_stream, label);
    require_host(loan.device, object, label);
    return over(std::move(loan), label);
}

void require_host(dlpack::Device device, py::handle object, const std::string& label) {
    if (device.is_host()) return;
    if (device.is_cuda()) refuse_cuda(object, label);
    throw py::type_error(label + ": the array (" + type_name(object) +
                         ") is on a device that is neither the CPU nor a CUDA device");
}

void refuse_tensor(py::handle tensor, const std::string& label) {
    as_numpy(tensor, Access::read, label);
    throw py::value_error(label + ": the tensor's memory cannot be used");
}

void require_no_mask(py::handle array, const std::string& label) {
    static const py::handle name = interned("_mask");
    if (!is_exactly_numpy(array) && find_attr(array, name))
        throw py::type_error(label + ": masked arrays are not supported; pass the array's .data");
}

std::optional<Element> find_element(py::handle array) {
    return supported_element(py::reinterpret_borrow<py::array>(array).dtype());
}

PyObject* usual_descr(Element element) {
    const Dtype dtype = element.dtype;
    static const std::array<PyObject*, 3> descrs{py::dtype::of<float>().release().ptr(),
                                                 py::dtype::of<double>().release().ptr(),
                                                 py::dtype("float16").release().ptr()};
    static const std::array<PyObject*, 2> pairs{py::dtype("complex64").release().ptr(),
                                                py::dtype("complex128").release().ptr()};
    static PyObject* bfloat16 = nullptr;
    if (element.is_complex) return pairs[static_cast<std::size_t>(dtype)];
    if (dtype != Dtype::bfloat16) return descrs[static_cast<std::size_t>(dtype)];
    if (!bfloat16 && bfloat16_type())
        bfloat16 = py::dtype::from_args(py::reinterpret_borrow<py::object>(bfloat16_type())).release().ptr();
    return bfloat16;
}

std::optional<Element> plain_element(const PyObject* descr) {
    for (const Element element :
         {Element{Dtype::float32}, Element{Dtype::float64}, Element{Dtype::float16}, Element{Dtype::float32, true},
          Element{Dtype::float64, true}, Element{Dtype::bfloat16}}) {
        if (descr == usual_descr(element)) return element;
    }
    return std::nullopt;
}

py::dtype numpy_dtype(Element element) {
    if (element.dtype == Dtype::bfloat16 && !bfloat16_type()) {
        try {
            py::module_::import("ml_dtypes");
        } catch (py::error_already_set& error) {
            if (!error.matches(PyExc_ImportError)) throw;
            throw py::import_error("bfloat16 arrays need ml_dtypes: pip install ml_dtypes");
        }
    }
    return py::reinterpret_borrow<py::dtype>(usual_descr(element));
}

std::string dtype_name(py::handle array) {
    return py::str(py::reinterpret_borrow<py::array>(array).dtype()).cast<std::string>();
}

ArrayView view_of(py::handle object, Access access, const std::string& label) {
    if (!is_numpy(object)) refuse_kind(object, access, label);
    const auto array = py::reinterpret_borrow<py::array>(object);
    const auto* proxy = array_proxy(object.ptr());
    ArrayView view;
    const Element element = element_of_array(array, label);
    view.dtype = element.dtype;
    view.data = proxy->data;
    view.ndim = proxy->nd;
    view.shape = proxy->dimensions;
    view.strides = proxy->strides;
    view.size = array.size();
    if (element.is_complex) see_pairs(view);

    const bool read_only = !(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_);
    const bool aligned = proxy->flags & npy_api::NPY_ARRAY_ALIGNED_;
    require_usable(view, access, {read_only, aligned}, label);
    return view;
}

const void* owner_of(PyObject* array) {
    for (;;) {
        const auto* proxy = array_proxy(array);
        if (proxy->flags & npy_api::NPY_ARRAY_OWNDATA_) return array;
        PyObject* base = proxy->base;
        if (!base || !npy_api::get().PyArray_Check_(base)) return nullptr;
        array = base;
    }
}

}  // namespace adamcore::python

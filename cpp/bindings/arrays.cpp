#include "arrays.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "text.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

std::optional<Dtype> supported_dtype(const py::dtype& dtype) {
    if (dtype.kind() != 'f' || (dtype.byteorder() != '=' && dtype.byteorder() != '|')) return std::nullopt;
    for (std::size_t i = 0; i < dtype_count; ++i) {
        const auto candidate = static_cast<Dtype>(i);
        if (static_cast<std::size_t>(dtype.itemsize()) == size_of(candidate)) return candidate;
    }
    return std::nullopt;
}

Dtype dtype_of_array(const py::array& array, const std::string& label) {
    const py::dtype dtype = array.dtype();
    if (const auto found = supported_dtype(dtype)) return *found;
    if (dtype.kind() == 'f' && dtype.byteorder() != '=' && supported_dtype(dtype.attr("newbyteorder")("=")))
        throw py::type_error(label + ": dtype " + repr_of(dtype) +
                             " is not in this machine's byte order; convert it with "
                             "a.astype(a.dtype.newbyteorder('='))");
    throw py::type_error(label + ": dtype " + dtype_name(array) + " is not supported; use float32 or float64");
}

/// Dense: the axes, sorted by stride, tile memory without gaps. C and Fortran order are the usual cases.
bool is_dense(const ArrayView& view) {
    if (view.size == 0) return true;
    std::vector<int> axes;
    for (int i = 0; i < view.ndim; ++i) {
        if (view.shape[i] != 1) axes.push_back(i);
    }
    std::sort(axes.begin(), axes.end(), [&](int a, int b) { return view.strides[a] < view.strides[b]; });
    auto expected = static_cast<Py_ssize_t>(size_of(view.dtype));
    for (const int axis : axes) {
        if (view.strides[axis] != expected) return false;
        expected *= view.shape[axis];
    }
    return true;
}

std::string tuple_text(const Py_ssize_t* values, int ndim) {
    std::string text = "(";
    for (int i = 0; i < ndim; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    return text + (ndim == 1 ? ",)" : ")");
}

}  // namespace

PyObject* usual_descr(Dtype dtype) noexcept {
    static const std::array<PyObject*, dtype_count> descrs{py::dtype::of<float>().release().ptr(),
                                                           py::dtype::of<double>().release().ptr()};
    return descrs[static_cast<std::size_t>(dtype)];
}

std::string dtype_name(py::handle array) {
    return py::str(py::reinterpret_borrow<py::array>(array).dtype()).cast<std::string>();
}

ArrayView view_of(py::handle object, Access access, const std::string& label) {
    if (!npy_api::get().PyArray_Check_(object.ptr()))
        throw py::type_error(label + ": expected a NumPy array, got " + type_name(object));
    if (py::hasattr(object, "_mask"))
        throw py::type_error(label + ": masked arrays are not supported; pass the array's .data");

    const auto array = py::reinterpret_borrow<py::array>(object);
    const auto* proxy = array_proxy(object.ptr());
    ArrayView view;
    view.dtype = dtype_of_array(array, label);
    view.data = proxy->data;
    view.ndim = proxy->nd;
    view.shape = proxy->dimensions;
    view.strides = proxy->strides;
    view.size = array.size();

    if (access == Access::write && !(proxy->flags & npy_api::NPY_ARRAY_WRITEABLE_))
        throw py::value_error(label +
                              ": the array is read-only and cannot be updated in place; pass a writable one, "
                              "such as a.copy()");
    if (!(proxy->flags & npy_api::NPY_ARRAY_ALIGNED_))
        throw py::value_error(label + ": the array is not aligned to its dtype; pass a.copy()");
    if (!is_dense(view))
        throw py::value_error(label + ": the array is strided (shape " + tuple_text(view.shape, view.ndim) +
                              ", strides " + tuple_text(view.strides, view.ndim) +
                              "); pass a dense one, such as np.ascontiguousarray(a)");
    return view;
}

void require_like(const ArrayView& view, const Layout& like, Dtype dtype, const std::string& label,
                  const std::string& like_label) {
    if (view.dtype != dtype)
        throw py::type_error(label + ": dtype " + name_of(view.dtype) + " does not match " + like_label +
                             ", which is " + name_of(dtype) + "; convert it with a.astype(np." + name_of(dtype) + ")");
    if (view.ndim != like.ndim || !std::equal(view.shape, view.shape + view.ndim, like.shape()))
        throw py::value_error(label + ": shape " + tuple_text(view.shape, view.ndim) + " does not match " + like_label +
                              ", which has shape " + tuple_text(like.shape(), like.ndim));
    if (view.size <= 1) return;
    for (int i = 0; i < view.ndim; ++i) {
        if (view.shape[i] != 1 && view.strides[i] != like.strides()[i])
            throw py::value_error(label + ": the axes are in another order in memory than those of " + like_label +
                                  " (one is in C order, the other in Fortran order, say); make the orders equal with "
                                  "np.ascontiguousarray or np.asfortranarray");
    }
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

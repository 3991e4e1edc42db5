#include "gate/view.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <vector>

namespace adamcore::python {
namespace {

/// The axes that have more than one element, sorted by stride.
std::vector<int> axes_by_stride(const ArrayView& view) {
    std::vector<int> axes;
    for (int i = 0; i < view.ndim; ++i) {
        if (view.shape[i] != 1) axes.push_back(i);
    }
    std::sort(axes.begin(), axes.end(),
              [&](int a, int b) { return std::abs(view.strides[a]) < std::abs(view.strides[b]); });
    return axes;
}

/// Strides of a dense array in C order.
void append_c_strides(std::vector<Py_ssize_t>& axes, std::size_t ndim, Py_ssize_t item_size) {
    axes.resize(2 * ndim);
    Py_ssize_t next = item_size;
    for (std::size_t i = ndim; i-- > 0;) {
        axes[ndim + i] = next;
        next *= axes[i];
    }
}

/// a * b for a >= 0, b > 0, or the largest number if it overflows.
Py_ssize_t product(Py_ssize_t a, Py_ssize_t b) {
    constexpr Py_ssize_t most = std::numeric_limits<Py_ssize_t>::max();
    return a > most / b ? most : a * b;
}

}  // namespace

const char* name_of(Element element) {
    if (!element.is_complex) return name_of(element.dtype);
    return element.dtype == Dtype::float64 ? "complex128" : "complex64";
}

void append_pairs(std::vector<Py_ssize_t>& axes, int& ndim, Py_ssize_t part_size) {
    const bool has_strides = ndim > 0 ? axes.size() > static_cast<std::size_t>(ndim) : false;
    axes.insert(axes.begin() + ndim, 2);
    ++ndim;
    if (has_strides) axes.push_back(part_size);
}

void lay_out(ArrayView& view, std::vector<Py_ssize_t>& axes, int ndim, const std::string& label) {
    const auto count = static_cast<std::size_t>(ndim);
    const auto shape_end = axes.begin() + ndim;
    const bool negative = std::any_of(axes.begin(), shape_end, [](Py_ssize_t length) { return length < 0; });
    const bool empty = std::any_of(axes.begin(), shape_end, [](Py_ssize_t length) { return length == 0; });
    // The number of bytes between the first and the last element, in each direction along each axis, must be
    // representable.
    constexpr Py_ssize_t most = std::numeric_limits<Py_ssize_t>::max() / 4;
    Py_ssize_t bytes = view.item_size();
    for (std::size_t i = 0; i < count && !negative; ++i) bytes = product(bytes, std::max<Py_ssize_t>(axes[i], 1));
    if (negative || bytes > most)
        throw py::value_error(label + ": there can be no array of shape " + tuple_text(axes.data(), ndim));
    if (axes.size() == count) append_c_strides(axes, count, view.item_size());
    Py_ssize_t reach = 0;
    for (std::size_t i = 0; i < count && !empty; ++i) {
        const Py_ssize_t stride = std::max(axes[count + i], -std::numeric_limits<Py_ssize_t>::max());
        const Py_ssize_t along = axes[i] == 1 ? 0 : product(std::abs(stride), axes[i] - 1);
        if (along > most - reach)
            throw py::value_error(label + ": the strides " + tuple_text(axes.data() + ndim, ndim) +
                                  " reach beyond the address space");
        reach += along;
    }
    view.ndim = ndim;
    view.size = empty ? 0 : bytes / view.item_size();
    view.shape = axes.data();
    view.strides = axes.data() + ndim;
}

bool is_dense(const ArrayView& view) {
    if (view.size == 0) return true;
    Py_ssize_t expected = view.item_size();
    for (const int axis : axes_by_stride(view)) {
        if (view.strides[axis] != expected) return false;
        expected *= view.shape[axis];
    }
    return true;
}

bool is_plainly_disjoint(const ArrayView& view) {
    if (view.size == 0) return true;
    Py_ssize_t span = view.item_size();
    for (const int axis : axes_by_stride(view)) {
        const Py_ssize_t stride = std::abs(view.strides[axis]);
        if (stride < span) return false;
        span += (view.shape[axis] - 1) * stride;
    }
    return true;
}

bool is_aligned(const ArrayView& view) {
    if (view.size == 0) return true;
    auto bits = reinterpret_cast<std::uintptr_t>(view.data);
    for (int i = 0; i < view.ndim; ++i) {
        if (view.shape[i] != 1) bits |= static_cast<std::uintptr_t>(view.strides[i]);
    }
    return bits % static_cast<std::uintptr_t>(view.item_size()) == 0;
}

void require_usable(const ArrayView& view, Access access, Lending lending, const std::string& label) {
    if (access == Access::write && lending.read_only)
        throw py::value_error(label +
                              ": the array is read-only and cannot be updated in place; pass a writable one, "
                              "such as a.copy()");
    if (!lending.aligned) throw py::value_error(label + ": the array is not aligned to its dtype; pass a.copy()");
    if (access == Access::write && !is_plainly_disjoint(view))
        throw py::value_error(label + ": elements share memory (shape " + tuple_text(view.shape, view.own_ndim()) +
                              ", strides " + tuple_text(view.strides, view.own_ndim()) +
                              "), as in a broadcast array; pass a.copy()");
}

void require_shape(const ArrayView& view, const ShapeAndStrides& like, Dtype like_dtype, const std::string& label,
                   const std::string& like_label) {
    if (view.is_complex != like.is_complex)
        throw py::type_error(label + ": dtype " + name_of(view.element()) + " does not match " + like_label +
                             ", which is " + name_of(Element{like_dtype, like.is_complex}) + ": " +
                             (like.is_complex ? "it must be complex too" : "it must be real"));
    if (view.ndim != like.ndim || !std::equal(view.shape, view.shape + view.ndim, like.shape()))
        throw py::value_error(label + ": shape " + tuple_text(view.shape, view.own_ndim()) + " does not match " +
                              like_label + ", which has shape " + tuple_text(like.shape(), like.own_ndim()));
}

void refuse_dtype(const std::string& name, const std::string& label) {
    throw py::type_error(
        label + ": dtype " + name +
        " is not supported; use float32, float64, complex64, complex128, float16 or ml_dtypes.bfloat16");
}

void refuse_complex(const ArrayView& view, const std::string& owner, const std::string& label) {
    throw py::type_error(label + ": dtype " + name_of(view.element()) + " is not supported by " + owner +
                         ", which averages over rows and columns of real numbers");
}

std::string tuple_text(const Py_ssize_t* values, int ndim) {
    std::string text = "(";
    for (int i = 0; i < ndim; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    return text + (ndim == 1 ? ",)" : ")");
}

}  // namespace adamcore::python

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/dtype.hpp"
#include "adamcore/tensor.hpp"

/// An array as the kernels see it, whichever library lends its memory and wherever that is. Nothing here depends on
/// NumPy.
namespace adamcore::python {

namespace py = pybind11;

enum class Access { read, write };

/// The type of an array's elements. Kernels see complex numbers as pairs of `dtype`.
struct Element {
    Dtype dtype = Dtype::float32;
    bool is_complex = false;

    constexpr std::size_t size() const { return size_of(dtype) * (is_complex ? 2 : 1); }
    friend bool operator==(Element a, Element b) { return a.dtype == b.dtype && a.is_complex == b.is_complex; }
};

/// NumPy's name of the type, such as "complex64".
const char* name_of(Element element);

/// The memory of an array as the kernels use it. Shape and strides are borrowed from the array object.
///
/// A complex array has one more axis at the end than its object: the real and the imaginary part. `size` counts these
/// parts too.
struct ArrayView {
    char* data = nullptr;
    std::int64_t size = 0;
    Dtype dtype = Dtype::float32;
    int ndim = 0;
    const Py_ssize_t* shape = nullptr;
    const Py_ssize_t* strides = nullptr;
    bool is_complex = false;
    std::shared_ptr<const std::vector<Py_ssize_t>> pair_axes{};  ///< what shape and strides point into, if complex

    /// The number of axes that the user knows.
    int own_ndim() const { return ndim - is_complex; }
    Element element() const { return {dtype, is_complex}; }
    std::int64_t item_size() const { return static_cast<std::int64_t>(size_of(dtype)); }
};

/// The address of arrays that have no elements and may have no address either.
inline constexpr char no_elements = 0;

/// A shape and strides that survive changes of the array object. `axes` contains the shape, then the strides, as those
/// of an ArrayView.
struct ShapeAndStrides {
    int ndim = 0;
    const Py_ssize_t* axes = nullptr;
    bool is_complex = false;

    int own_ndim() const { return ndim - is_complex; }

    const Py_ssize_t* shape() const { return axes; }
    const Py_ssize_t* strides() const { return axes + ndim; }
};

/// Sets Tensor::rows and columns, of an array with two axes or more. Complex arrays are no matrices.
inline void set_lines(Tensor& tensor, const ArrayView& view) {
    if (view.is_complex || view.ndim < 2) return;
    tensor.columns = view.shape[view.ndim - 1];
    tensor.rows = view.shape[view.ndim - 2];
}

/// Whether the axes, sorted by stride, tile memory without gaps. C and Fortran order are the usual cases.
bool is_dense(const ArrayView& view);

/// Whether each axis steps over everything that the axes with shorter strides span, so that no two elements share
/// memory. (Views whose axes are not nested in this way, which as_strided can create, are not examined further.)
bool is_plainly_disjoint(const ArrayView& view);

/// Whether the address of every element is a multiple of its size.
bool is_aligned(const ArrayView& view);

/// Sets the axes of a view whose dtype is set. `axes` contains the shape, then the strides in bytes. Without strides,
/// those of C order are added. Raises ValueError for an array that cannot exist in memory.
void lay_out(ArrayView& view, std::vector<Py_ssize_t>& axes, int ndim, const std::string& label);

/// Appends the axis of real and imaginary parts to the axes of a complex array, whose strides may be missing.
void append_pairs(std::vector<Py_ssize_t>& axes, int& ndim, Py_ssize_t part_size);

/// What a lender says about its memory, in addition to the address.
struct Lending {
    bool read_only = false;
    bool aligned = true;
};

/// Raises ValueError unless the kernels can use the memory in place: it must be aligned and, for Access::write, be
/// writable and have no two elements at one address.
void require_usable(const ArrayView& view, Access access, Lending lending, const std::string& label);

/// Raises TypeError unless both arrays are complex or both are real, and ValueError unless `view` has the other's shape.
/// `like_dtype` is the other's.
void require_shape(const ArrayView& view, const ShapeAndStrides& like, Dtype like_dtype, const std::string& label,
                   const std::string& like_label);

/// Raises TypeError for a dtype that the kernels do not support.
[[noreturn]] void refuse_dtype(const std::string& name, const std::string& label);

/// Raises TypeError for a complex array, where an optimizer or function averages over rows and columns.
[[noreturn]] void refuse_complex(const ArrayView& view, const std::string& owner, const std::string& label);

/// Formats a tuple, such as "(2, 3)".
std::string tuple_text(const Py_ssize_t* values, int ndim);

}  // namespace adamcore::python

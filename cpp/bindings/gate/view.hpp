#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/dtype.hpp"

/// An array as the kernels see it, whoever lends its memory and wherever that lies. Nothing here knows NumPy.
namespace adamcore::python {

namespace py = pybind11;

enum class Access { read, write };

/// An array's memory as the kernels use it. Shape and strides are borrowed from the array object.
struct ArrayView {
    char* data = nullptr;
    std::int64_t size = 0;
    Dtype dtype = Dtype::float32;
    int ndim = 0;
    const Py_ssize_t* shape = nullptr;
    const Py_ssize_t* strides = nullptr;

    std::int64_t item_size() const { return static_cast<std::int64_t>(size_of(dtype)); }
};

/// A shape and strides that outlive changes to the array object; `axes` holds the shape, then the strides.
struct ShapeAndStrides {
    int ndim = 0;
    const Py_ssize_t* axes = nullptr;

    const Py_ssize_t* shape() const { return axes; }
    const Py_ssize_t* strides() const { return axes + ndim; }
};

/// Whether the axes, sorted by stride, tile memory without gaps. C and Fortran order are the usual cases.
bool is_dense(const ArrayView& view);

/// Whether each axis steps over all that the shorter ones span, so that no two elements share memory. (Views that do
/// not nest so, which as_strided can make, are not looked into further.)
bool is_plainly_disjoint(const ArrayView& view);

/// Whether every element lies at a multiple of its size.
bool is_aligned(const ArrayView& view);

/// Gives a view whose dtype is set the axes of an array that comes from elsewhere: `axes` holds the shape, then the
/// strides in bytes, or no strides for C order, which are added then. Raises ValueError for what no memory can hold.
void lay_out(ArrayView& view, std::vector<Py_ssize_t>& axes, int ndim, const std::string& label);

/// What a lender says of its memory, besides where it is.
struct Lending {
    bool read_only = false;
    bool aligned = true;
};

/// Raises ValueError unless the kernels can use the memory in place: aligned and, for Access::write, writable and
/// without two elements in one place.
void require_usable(const ArrayView& view, Access access, Lending lending, const std::string& label);

/// Raises unless `view` has this shape.
void require_shape(const ArrayView& view, int ndim, const Py_ssize_t* shape, const std::string& label,
                   const std::string& like_label);

/// Raises TypeError for a dtype of this name, which the kernels do not know.
[[noreturn]] void refuse_dtype(const std::string& name, const std::string& label);

/// "(2, 3)".
std::string tuple_text(const Py_ssize_t* values, int ndim);

}  // namespace adamcore::python

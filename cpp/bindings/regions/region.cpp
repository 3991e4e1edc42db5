#include "regions/region.hpp"

#include <algorithm>
#include <numeric>

#include <pybind11/numpy.h>

namespace adamcore::python {
namespace {

/// Adds an axis whose stride is not shorter than those before it.
void add_axis(Gaps& gaps, const Gaps::Axis& axis) {
    const auto extent = [&] { return (gaps.rows - 1) * gaps.stride + gaps.run; };
    if (gaps.rows > 1 && axis.stride % gaps.stride == 0) {  // rows of the same columns
        const std::uint64_t rows_apart = axis.stride / gaps.stride;
        gaps.is_full = gaps.is_full && rows_apart <= gaps.rows;
        gaps.rows += (axis.length - 1) * rows_apart;
        return;
    }
    if (gaps.rows > 1) {
        gaps.run = extent();
        gaps.rows = 1;
        gaps.is_full = false;
    }
    if (axis.stride <= gaps.run) {
        gaps.run += (axis.length - 1) * axis.stride;
    } else {
        gaps.stride = axis.stride;
        gaps.rows = axis.length;
    }
}

/// The number of bytes that an array covers modulo `modulus`. Axes whose stride is a multiple of it do not add any.
std::uint64_t width(const Region& region, std::uint64_t modulus) {
    if (!region.gaps) return region.end - region.begin;
    std::uint64_t bytes = region.gaps->item;
    for (const Gaps::Axis& axis : region.gaps->axes) {
        if (axis.stride % modulus != 0) bytes += (axis.length - 1) * axis.stride;
    }
    return bytes;
}

/// Whether no byte of `a` is congruent to a byte of `b`.
bool are_apart_modulo(const Region& a, const Region& b, std::uint64_t modulus) {
    const std::uint64_t from_a_to_b = (b.begin % modulus + modulus - a.begin % modulus) % modulus;
    const std::uint64_t a_width = width(a, modulus), b_width = width(b, modulus);
    return a_width <= from_a_to_b && b_width <= modulus - from_a_to_b;
}

/// Interleaved views of one array are usually disjoint in one of its axes.
bool are_plainly_apart(const Region& a, const Region& b) {
    std::uint64_t common = 0;
    for (const Region* region : {&a, &b}) {
        if (!region->gaps) continue;
        for (const Gaps::Axis& axis : region->gaps->axes) {
            if (are_apart_modulo(a, b, axis.stride)) return true;
            common = std::gcd(common, axis.stride);
        }
    }
    return are_apart_modulo(a, b, common);
}

/// Whether rows that are touched completely have a byte in [begin, end).
bool is_touched(const Region& rows, std::uintptr_t begin, std::uintptr_t end) {
    const Gaps& gaps = *rows.gaps;
    // The first row that ends after `begin`.
    const std::uintptr_t first_end = rows.begin + gaps.run;
    const std::uint64_t row = begin < first_end ? 0 : (begin - first_end) / gaps.stride + 1;
    return row < gaps.rows && rows.begin + row * gaps.stride < end;
}

/// The memory as an array of bytes for NumPy, which does not read it. `base` represents the owner of the memory.
py::array bytes_of(const Region& region, py::handle base) {
    std::vector<Py_ssize_t> shape, strides;
    if (region.gaps) {
        for (const Gaps::Axis& axis : region.gaps->axes) {
            shape.push_back(static_cast<Py_ssize_t>(axis.length));
            strides.push_back(static_cast<Py_ssize_t>(axis.stride));
        }
    }
    shape.push_back(static_cast<Py_ssize_t>(region.gaps ? region.gaps->item : region.end - region.begin));
    strides.push_back(1);
    return {py::dtype::of<std::uint8_t>(), shape, strides, reinterpret_cast<const void*>(region.begin), base};
}

bool share_memory_as_numpy_says(const Region& a, const Region& b) {
    try {
        const auto numpy = py::module_::import("numpy");
        return numpy.attr("shares_memory")(bytes_of(a, numpy), bytes_of(b, numpy), 1000000).cast<bool>();
    } catch (py::error_already_set& error) {
        if (error.matches(PyExc_MemoryError) || !error.matches(PyExc_Exception)) throw;
        return true;
    }
}

/// Whether the elements are contiguous in C order, as in nearly all arrays.
bool is_contiguous(const ArrayView& view) {
    Py_ssize_t next = view.item_size();
    for (int i = view.ndim; i-- > 0;) {
        if (view.shape[i] != 1 && view.strides[i] != next) return false;
        next *= view.shape[i];
    }
    return true;
}

}  // namespace

Region region_of(const ArrayView& view, std::int64_t tensor) {
    Region region{0, 0, tensor, nullptr};
    if (view.size == 0) return region;
    region.begin = region.end = reinterpret_cast<std::uintptr_t>(view.data);
    if (is_contiguous(view)) {
        region.end += static_cast<std::uintptr_t>(view.size * view.item_size());
        return region;
    }
    Gaps gaps;
    gaps.item = gaps.run = static_cast<std::uint64_t>(view.item_size());
    for (int i = 0; i < view.ndim; ++i) {
        const Py_ssize_t reach = (view.shape[i] - 1) * view.strides[i];
        if (reach == 0) continue;
        (reach < 0 ? region.begin : region.end) += static_cast<std::uintptr_t>(reach);
        const auto length = static_cast<std::uint64_t>(view.shape[i]);
        gaps.axes.push_back({length, static_cast<std::uint64_t>(reach < 0 ? -view.strides[i] : view.strides[i])});
    }
    region.end += static_cast<std::uintptr_t>(view.item_size());
    std::sort(gaps.axes.begin(), gaps.axes.end(),
              [](const Gaps::Axis& a, const Gaps::Axis& b) { return a.stride < b.stride; });
    for (const Gaps::Axis& axis : gaps.axes) add_axis(gaps, axis);
    if (gaps.rows > 1 || !gaps.is_full) region.gaps = std::make_shared<const Gaps>(std::move(gaps));
    return region;
}

bool share_memory(const Region& a, const Region& b) {
    if (a.end <= b.begin || b.end <= a.begin) return false;
    if (!a.gaps && !b.gaps) return true;
    if (are_plainly_apart(a, b)) return false;
    if (!b.gaps && a.gaps->is_full) return is_touched(a, b.begin, b.end);
    if (!a.gaps && b.gaps->is_full) return is_touched(b, a.begin, a.end);
    return share_memory_as_numpy_says(a, b);
}

}  // namespace adamcore::python

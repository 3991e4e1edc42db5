#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "adamcore/storage/layout.hpp"
#include "gate/view.hpp"

/// How strided arrays are walked: the order in which elements are counted, and the strides.
namespace adamcore::python {

/// Axes, starting with the slowest.
using Order = std::vector<int>;

/// The order of the array's elements in memory, and C order.
Order memory_order(const ArrayView& view);
Order c_order(int ndim);

/// The strides, in bytes, of a dense array of this shape whose elements lie in `order`.
std::vector<Py_ssize_t> dense_strides(int ndim, const Py_ssize_t* shape, const Order& order, Py_ssize_t item_size);

/// The axes of an array in `order`, with neighbouring axes merged if possible. It owns the arrays to which axes()
/// points.
class Walk {
public:
    Walk() = default;
    Walk(const ArrayView& view, const Order& order, int first_axis = 0);

    bool is_dense() const { return shape_.empty(); }
    Axes axes() const { return {static_cast<std::int32_t>(shape_.size()), shape_.data(), strides_.data()}; }

private:
    std::vector<std::int64_t> shape_, strides_;
};

/// A Layout and the arrays to which it points.
struct OwnedLayout {
    Walk param, grad;
    Layout layout;

    OwnedLayout(Walk of_param, Walk of_grad)
        : param(std::move(of_param)), grad(std::move(of_grad)), layout{param.axes(), grad.axes()} {}
    OwnedLayout(const OwnedLayout&) = delete;
    OwnedLayout& operator=(const OwnedLayout&) = delete;
};

/// Returns null if both arrays are dense.
std::unique_ptr<OwnedLayout> layout_of(const ArrayView& param, const ArrayView& grad, const Order& order);

}  // namespace adamcore::python

#include "gate/walk.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace adamcore::python {

Order c_order(int ndim) {
    Order order(static_cast<std::size_t>(ndim));
    std::iota(order.begin(), order.end(), 0);
    return order;
}

Order memory_order(const ArrayView& view) {
    Order order = c_order(view.ndim);
    // Axes of length 1 may have any stride. They do not take part in the sort.
    Order moving;
    std::copy_if(order.begin(), order.end(), std::back_inserter(moving),
                 [&](int axis) { return view.shape[axis] != 1; });
    Order sorted = moving;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](int a, int b) { return std::abs(view.strides[a]) > std::abs(view.strides[b]); });
    for (std::size_t i = 0; i < moving.size(); ++i) order[static_cast<std::size_t>(moving[i])] = sorted[i];
    return order;
}

std::vector<Py_ssize_t> dense_strides(int ndim, const Py_ssize_t* shape, const Order& order, Py_ssize_t item_size) {
    std::vector<Py_ssize_t> strides(static_cast<std::size_t>(ndim));
    Py_ssize_t next = item_size;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
        strides[static_cast<std::size_t>(*axis)] = next;
        next *= std::max<Py_ssize_t>(shape[*axis], 1);
    }
    return strides;
}

Walk::Walk(const ArrayView& view, const Order& order, int first_axis) {
    if (view.size <= 1) return;
    for (const int axis : order) {
        const std::int64_t length = view.shape[axis], stride = view.strides[axis];
        if (axis < first_axis || length == 1) continue;
        if (!shape_.empty() && strides_.back() == length * stride) {
            shape_.back() *= length;
            strides_.back() = stride;
        } else {
            shape_.push_back(length);
            strides_.push_back(stride);
        }
    }
    if (shape_.size() == 1 && strides_[0] == view.item_size()) shape_.clear(), strides_.clear();
}

std::unique_ptr<OwnedLayout> layout_of(const ArrayView& param, const ArrayView& grad, const Order& order) {
    Walk of_param(param, order), of_grad(grad, order);
    if (of_param.is_dense() && of_grad.is_dense()) return nullptr;
    return std::make_unique<OwnedLayout>(std::move(of_param), std::move(of_grad));
}

}  // namespace adamcore::python

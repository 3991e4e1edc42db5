#include "cpu/units.hpp"

#include <algorithm>

namespace adamcore::python {

const Walk& Units::Known::unit_of(const ArrayView& view) {
    const Py_ssize_t* const end = view.strides + view.ndim;
    if (is_walked && dtype == view.dtype && std::equal(view.strides, end, strides.begin(), strides.end())) return walk;
    is_walked = false;
    walk = Walk(view, c_order(view.ndim), view.own_ndim() < 2 ? 0 : 1);
    strides.assign(view.strides, end);
    dtype = view.dtype;
    is_walked = true;
    return walk;
}

void Units::add(std::size_t tensor, const ArrayView& param, const ArrayView& grad, Norms& norms) {
    if (known_.size() <= tensor) known_.resize(tensor + 1);
    Pair& known = known_[tensor];
    const std::int64_t count = count_of(param), size = param.size / count;
    const auto add_units = [&](const ArrayView& view, Known& walked) {
        const Axes axes = walked.unit_of(view).axes();
        const std::int64_t stride = view.own_ndim() < 2 ? 0 : view.strides[0];
        for (std::int64_t unit = 0; unit < count; ++unit)
            norms.add({view.data + unit * stride, size, view.dtype, axes});
    };
    add_units(param, known.param);
    add_units(grad, known.grad);
}

}  // namespace adamcore::python

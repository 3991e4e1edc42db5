// What statistics need to know of the arrays of a step.

#include <deque>

#include "adamcore/cuda/statistics/observation.hpp"
#include "device_optimizer.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

std::shared_ptr<cuda::Observation> DeviceOptimizer::observe(unsigned columns) {
    std::deque<Walk> walks;  // of which the engine makes a copy
    std::vector<cuda::ObservedWalks> of_tensors(size());
    for (std::size_t i = 0; i < size(); ++i) {
        const Tensor& tensor = engine_->entry(i).tensor;
        if (!tensor.grad || tensor.size == 0) continue;
        const ArrayView param = view_of_param(tensor, forms_[i]);
        const auto in_c_order = [&](const Py_ssize_t* strides, Dtype dtype) {
            ArrayView view = param;
            view.strides = strides;
            view.dtype = dtype;
            return walks.emplace_back(view, c_order(view.ndim)).axes();
        };
        const auto dense = [&](Dtype dtype) {
            const auto item = static_cast<Py_ssize_t>(size_of(dtype));
            return in_c_order(dense_strides(param.ndim, param.shape, forms_[i].order, item).data(), dtype);
        };
        of_tensors[i] = {in_c_order(bound_[i].grad_strides.data(), tensor.grad_dtype),
                         in_c_order(param.strides, tensor.dtype), dense(Dtype::float16),
                         dense(compute_dtype(tensor.dtype))};
    }
    const GilRelease release;  // a full queue may wait for work that needs it
    return engine_->observe(of_tensors, statistics::parts_of(columns) | statistics::squares, stream_);
}

}  // namespace adamcore::python

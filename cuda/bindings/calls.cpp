#include "calls.hpp"

#include <memory>
#include <utility>

#include "device_array.hpp"
#include "gate/walk.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

/// Examining a device array runs code too, but what is known about it stays valid.
Gate DeviceCalls::gate() {
    return {[](const py::object& array, Access, const std::string&) { return array; },
            [this](const py::object& array, Access access, const std::string& label) {
                return take(array, access, label);
            }};
}

Taken DeviceCalls::take(const py::object& array, Access access, const std::string& label) {
    DeviceArray found = device_array(array, access, label, streams_.empty() ? 1 : streams_.front());
    require_device(found, device_, "other arrays", label);
    add_unique(found.stream.value_or(1), streams_);
    return {found.view, nullptr, py::make_tuple(array, found.owner),
            std::make_shared<const std::vector<Py_ssize_t>>(std::move(found.axes))};
}

cuda::StepRequest DeviceCalls::request() const {
    cuda::StepRequest request;
    request.stream = streams_.empty() ? 1 : streams_.front();
    if (!streams_.empty()) request.others.assign(streams_.begin() + 1, streams_.end());
    return request;
}

void DeviceCalls::update(const CheckedUpdate& checked) const {
    cuda::require_kernels(device());
    cuda::Settings settings;
    settings.stream = request().stream;
    const GilRelease release;
    cuda::Engine engine(device(), settings);
    engine.add_group(checked.group);
    for (const Tensor& tensor : checked.tensors) {
        cuda::Entry entry;
        entry.tensor = tensor;
        entry.tensor.step = tensor.step - 1;
        engine.add(entry);
    }
    engine.step(request());
}

/// Treats the arrays as gradients of an engine.
Measurement DeviceCalls::measure(const std::vector<Taken>& arrays, Clip clip, double limit) const {
    std::vector<Walk> walks;
    std::vector<cuda::Entry> entries;
    walks.reserve(arrays.size());
    for (const Taken& taken : arrays) {
        const ArrayView& view = taken.view;
        if (view.size == 0) continue;
        walks.emplace_back(view, c_order(view.ndim));
        cuda::Entry entry;
        entry.tensor.grad = view.data;
        entry.tensor.size = view.size;
        entry.tensor.dtype = entry.tensor.grad_dtype = view.dtype;
        entry.tensor.state_dtype = compute_dtype(view.dtype);
        entry.measured_grad = {walks.back().axes(), 0};
        entries.push_back(entry);
    }
    const cuda::StepRequest on = request();
    cuda::Settings settings;
    settings.clip = clip;
    settings.limit = limit;
    settings.stream = on.stream;
    const GilRelease release;  // allocation and release go through a queue that may be full
    cuda::Engine engine(device(), settings);
    engine.add_group({});
    for (const cuda::Entry& entry : entries) engine.add(entry);
    const double norm = engine.measure(on).read().norm;
    return {norm, clip == Clip::none ? 1 : engine.control().scale()};
}

void DeviceCalls::rescale(const std::vector<Taken>& arrays, Scale factor, double limit) const {
    std::vector<Walk> walks;
    std::vector<cuda::Rescaled> rescaled;
    walks.reserve(arrays.size());
    for (const Taken& taken : arrays) {
        const ArrayView& view = taken.view;
        if (view.size == 0) continue;
        walks.emplace_back(view, memory_order(view));
        rescaled.push_back({view.data, view.dtype, view.size, walks.back().axes()});
    }
    const cuda::StepRequest on = request();
    const GilRelease release;  // a full queue may wait for work that needs it
    cuda::Ordered ordered(device(), on.stream, on.others);
    cuda::rescale_arrays(device(), rescaled, factor, limit, on.stream);
    ordered.finish();
}

}  // namespace adamcore::python

#include "single.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "adamcore/cuda/engine.hpp"
#include "calls/bare.hpp"
#include "device_array.hpp"
#include "gate/written.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// Lets arrays of one device in, and learns which device and which streams.
class DeviceTaker {
public:
    /// Looking runs code too, but what has been seen of a device's array stays true.
    Gate gate() {
        return {[](const py::object& array, Access, const std::string&) { return array; },
                [this](const py::object& array, Access access, const std::string& label) {
                    return take(array, access, label);
                }};
    }

    int device() const { return std::max(device_, 0); }
    /// The first array's, where all work goes; the others wait for it, and it for them.
    cuda::StepRequest request() const {
        cuda::StepRequest request;
        request.stream = streams_.empty() ? 1 : streams_.front();
        if (!streams_.empty()) request.others.assign(streams_.begin() + 1, streams_.end());
        return request;
    }

private:
    Taken take(const py::object& array, Access access, const std::string& label) {
        DeviceArray found = device_array(array, access, label, streams_.empty() ? 1 : streams_.front());
        require_device(found, device_, "others", label);
        add_unique(found.stream.value_or(1), streams_);
        return {found.view, nullptr, py::make_tuple(array, found.owner),
                std::make_shared<const std::vector<Py_ssize_t>>(std::move(found.axes))};
    }

    int device_ = -1;
    std::vector<cuda::Stream> streams_;
};

/// An engine for one use, with arrays to measure as gradients.
class Measuring {
public:
    Measuring(const std::vector<Taken>& arrays, const DeviceTaker& taker, Clip clip, double limit)
        : request_(taker.request()) {
        engine_.emplace(taker.device(), settings(clip, limit, request_.stream));
        engine_->add_group({});
        walks_.reserve(arrays.size());
        for (const Taken& taken : arrays) {
            const ArrayView& view = taken.view;
            if (view.size == 0) continue;
            walks_.emplace_back(view, c_order(view.ndim));
            cuda::Entry entry;
            entry.tensor.grad = view.data;
            entry.tensor.size = view.size;
            entry.tensor.dtype = entry.tensor.grad_dtype = view.dtype;
            entry.tensor.state_dtype = compute_dtype(view.dtype);
            entry.measured_grad = {walks_.back().axes(), 0};
            engine_->add(entry);
        }
    }
    ~Measuring() {
        const GilRelease release;  // memory goes back through a queue that may be full
        engine_.reset();
    }
    Measuring(const Measuring&) = delete;
    Measuring& operator=(const Measuring&) = delete;

    double norm() {
        const GilRelease release;
        return engine_->measure(request_).read().norm;
    }
    Scale factor() const {
        const GilRelease release;
        return engine_->control().scale();
    }

private:
    static cuda::Settings settings(Clip clip, double limit, cuda::Stream stream) {
        cuda::Settings settings;
        settings.clip = clip;
        settings.limit = limit;
        settings.stream = stream;
        return settings;
    }

    cuda::StepRequest request_;
    std::vector<Walk> walks_;
    std::optional<cuda::Engine> engine_;
};

void rescale(const std::vector<Taken>& arrays, const DeviceTaker& taker, Scale factor, double limit) {
    std::vector<Walk> walks;
    std::vector<cuda::Rescaled> rescaled;
    walks.reserve(arrays.size());
    for (const Taken& taken : arrays) {
        const ArrayView& view = taken.view;
        if (view.size == 0) continue;
        walks.emplace_back(view, memory_order(view));
        rescaled.push_back({view.data, view.dtype, view.size, walks.back().axes()});
    }
    const cuda::StepRequest request = taker.request();
    const GilRelease release;  // a queue that is full waits for what may need it
    cuda::Ordered ordered(taker.device(), request.stream, request.others);
    cuda::rescale_arrays(taker.device(), rescaled, factor, limit, request.stream);
    ordered.finish();
}

}  // namespace

void device_update(const BareUpdate& bare) {
    DeviceTaker taker;
    const CheckedUpdate checked = check(bare, taker.gate());
    cuda::require_kernels(taker.device());
    const cuda::StepRequest request = taker.request();
    cuda::Settings settings;
    settings.stream = request.stream;
    {
        const GilRelease release;
        cuda::Engine engine(taker.device(), settings);
        engine.add_group(checked.group);
        for (const Tensor& tensor : checked.tensors) {
            cuda::Entry entry;
            entry.tensor = tensor;
            entry.tensor.step = tensor.step - 1;
            engine.add(entry);
        }
        engine.step(request);
    }
    note_written(bare);
}

double device_norm(const py::list& arrays, const std::vector<std::string>& labels) {
    DeviceTaker taker;
    const std::vector<Taken> taken = take_all(arrays, labels, taker.gate());
    return Measuring(taken, taker, Clip::none, 0).norm();
}

double device_clip_norm(const py::list& arrays, const std::vector<std::string>& labels, double max_norm) {
    DeviceTaker taker;
    const std::vector<Taken> taken = take_written(arrays, labels, taker.gate());
    Measuring measuring(taken, taker, Clip::norm, max_norm);
    const double norm = measuring.norm();
    const Scale factor = measuring.factor();
    if (factor < 1) {
        rescale(taken, taker, factor, std::numeric_limits<double>::infinity());
        note_written_among(arrays);
    }
    return norm;
}

void device_clip_value(const py::list& arrays, const std::vector<std::string>& labels, double value) {
    DeviceTaker taker;
    const std::vector<Taken> taken = take_written(arrays, labels, taker.gate());
    rescale(taken, taker, 1, value);
    note_written_among(arrays);
}

}  // namespace adamcore::python

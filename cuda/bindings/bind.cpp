// How the CUDA optimizer binds parameters: first they are checked, then their state is allocated, and only then is the
// group added.

#include <algorithm>

#include "adamcore/cuda/weights.hpp"
#include "adamcore/rule_registry.hpp"
#include "device_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "runtime/gil.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

/// Kernels access elements in groups. State is placed at the same distance from a whole group as its parameter, so that
/// groups start at the same element in all arrays.
constexpr std::size_t group_of_elements = 8;
constexpr std::size_t alignment = 256;

std::size_t phase_of(const Tensor& tensor) {
    if (tensor.layout || cuda::counts_from_start(tensor)) return 0;
    return reinterpret_cast<std::uintptr_t>(tensor.param) / size_of(tensor.dtype) % group_of_elements;
}

/// Allocates memory with the library. The library's own error does not name the array, so it is replaced.
py::tuple allocate(const py::object& library, std::size_t bytes, int device, const std::vector<std::string>& labels) {
    try {
        return run_python([&]() -> py::object { return library.attr("allocate")(bytes, device); }).cast<py::tuple>();
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_Exception)) throw;
        const std::string message =
            labels.front() + (labels.size() > 1 ? " and " + std::to_string(labels.size() - 1) + " more" : "") +
            ": no memory on CUDA device " + std::to_string(device) + " for the state, " + size_text(bytes);
        py::raise_from(error, PyExc_MemoryError, message.c_str());
        throw py::error_already_set();
    }
}

}  // namespace

struct DeviceOptimizer::GroupBinding : Binding {
    GroupBinding(DeviceOptimizer& of, Addition& added_) : optimizer(of), added(added_), device(of.device_) {
        bind_params();
        cuda::require_kernels(device);
        stream = optimizer.stream_of_pool(device);
        if (optimizer.engine_) {
            const GilRelease release;  // may wait for work that needs the GIL
            optimizer.engine_->make_room(1, bound.size());
        }
        optimizer.state_device_ = device;
        optimizer.add_state(added);
    }

    ~GroupBinding() override {
        if (is_first && !is_committed) optimizer.engine_.reset();
    }

    void start() override {
        producers.erase(std::remove(producers.begin(), producers.end(), stream), producers.end());
        const GilRelease release;  // a full queue may wait for work that needs it
        cuda::Ordered ordered(device, stream, producers);
        for (const Started& each : added.started) cuda::start_state(device, each.tensors, each.initials, stream);
        ordered.finish();
    }

    void make_room() override {
        python::make_room(optimizer.bound_, bound.size());
        python::make_room(optimizer.known_grads_, bound.size());
        optimizer.held_.reserve(optimizer.bound_.capacity());
        is_first = !optimizer.engine_;
        if (is_first) optimizer.engine_ = std::make_unique<cuda::Engine>(device, optimizer.settings());
        const GilRelease release;
        if (is_first) optimizer.engine_->make_room(1, bound.size());
        optimizer.engine_->order(stream);  // the first step may go to another stream
    }

    void commit() noexcept override {
        is_committed = true;
        optimizer.device_ = device;
        optimizer.engine_->add_group(added.group.group);
        for (std::size_t i = 0; i < bound.size(); ++i) {
            optimizer.grad_libraries_ |= bit_of(bound[i].library);
            cuda::Entry entry;
            entry.tensor = added.tensors[i];
            optimizer.describe_walks(bound[i], added.forms[i], entry);
            optimizer.engine_->add(entry);
            optimizer.bound_.push_back(std::move(bound[i]));
        }
        optimizer.forget_checked();  // they were not checked against the new parameters
        optimizer.known_grads_.resize(optimizer.bound_.size());
        optimizer.are_averages_changed_ = true;
    }

private:
    void bind_params() {
        std::vector<DeviceArray> arrays;
        std::vector<ArrayView> views;
        for (std::size_t i = 0; i < added.labels.size(); ++i) {
            const std::string& label = added.labels[i];
            const py::object param = added.params[i];
            arrays.push_back(device_array(param, Access::write, label, 1));
            const DeviceArray& array = arrays.back();
            if (!array.view.is_complex) require_fit(optimizer.options_, array.view.dtype, label);
            require_device(array, device, "other arrays of this optimizer", label);
            add_unique(array.stream.value_or(1), producers);
            views.push_back(array.view);
            Bound each;
            each.param = param;
            each.param_lent = array.owner;
            each.library = array.library;
            bound.push_back(std::move(each));
            if (array.library == Library::torch) added.lenders.emplace_back(optimizer.size() + i, param);
        }
        if (device < 0) device = 0;  // all arrays are empty, and on no device
        optimizer.describe(views, std::vector<const void*>(views.size()), added);
        for (std::size_t i = 0; i < views.size(); ++i) {
            optimizer.walk(bound[i], added.forms[i], views[i], views[i]);
            if (bound[i].layout) added.tensors[i].layout = &bound[i].layout->layout;
        }
    }

    DeviceOptimizer& optimizer;
    Addition& added;
    std::vector<Bound> bound;
    int device;
    cuda::Stream stream = 1;              // where state is initialised
    std::vector<cuda::Stream> producers;  // the streams that write the parameters
    bool is_first = false, is_committed = false;
};

std::unique_ptr<BoundOptimizer::Binding> DeviceOptimizer::bind(Addition& added) {
    return std::make_unique<GroupBinding>(*this, added);
}

StateBlock DeviceOptimizer::allocate_state(std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots,
                                           const std::vector<std::string>& labels) {
    std::size_t next = 0;
    const auto place = [&](const Tensor& tensor, const StateSlot& slot) {
        const bool is_like_param = tensor.size > 0 && slot.slot.shape == rule::Shape::elements;
        const std::size_t item = is_like_param ? slot.bytes / static_cast<std::size_t>(tensor.size) : 0;
        const std::size_t begin = (next + alignment - 1) / alignment * alignment + phase_of(tensor) * item;
        next = begin + slot.bytes;
        return begin;
    };
    const StateLayout layout(tensors, slots, place);
    // Arrays without elements need a device too.
    const std::size_t bytes = next + alignment;
    const auto given = allocate(library_, bytes, state_device_, labels);
    const auto address = given[1].cast<std::uintptr_t>();
    const std::uintptr_t begin = (address + alignment - 1) / alignment * alignment;
    layout.point_into(reinterpret_cast<std::byte*>(begin), tensors);
    return {given[0], address, bytes};
}

/// Memory from a pool must be used on the pool's current stream.
cuda::Stream DeviceOptimizer::stream_of_pool(int device) const {
    return std::max<cuda::Stream>(library_.attr("stream")(device).cast<cuda::Stream>(), 1);
}

void DeviceOptimizer::start_state(const Started& started) {
    const cuda::Stream stream = stream_of_pool(device_);
    const GilRelease release;  // a full queue may wait for work that needs it
    engine_->order(stream);
    cuda::start_state(device_, started.tensors, started.initials, stream);
    engine_->order(stream);  // the step may go to another stream
}

void DeviceOptimizer::rescale(const std::vector<Rescaling>& rescalings) {
    if (!engine_) return;
    const cuda::Stream current = stream();
    std::vector<cuda::RescaledState> states;
    for (const Rescaling& each : rescalings) {
        states.push_back({{}, each.factor, each.degree == 2});
        for (const Rescaling::Array& array : each.arrays)
            states.back().arrays.push_back({array.data, array.dtype, array.size, {}});
    }
    const GilRelease release;
    engine_->order(current);
    cuda::rescale_state(device_, states, current);
    engine_->order(current);  // the next step may go to another stream
}

void DeviceOptimizer::run_weight_pass(std::size_t pass, const std::vector<Tensor>& tensors,
                                      const std::vector<double>& shares) {
    if (!engine_) return;
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->order(current);
    cuda::run_weight_pass(device_, pass, tensors, shares, options_.seed, current);
    engine_->order(current);  // the next step may go to another stream
}

void DeviceOptimizer::require_changeable_state() const {
    if (!engine_) return;
    engine_->require_free_rules();
    if (engine_->is_captured(stream()))
        throw cuda::Error(
            "hyper-parameters that determine which state there is (such as momentum or amsgrad) cannot change while a "
            "step is captured into a CUDA graph: run a step with the new values before the capture");
}

void DeviceOptimizer::use_state(std::size_t i, const SlotArrays& state, bool) noexcept {
    void* arrays[max_slots];
    std::copy(state.begin(), state.end(), arrays);
    engine_->set_state(i, arrays);
}

void DeviceOptimizer::forget_checked() noexcept {
    if (!has_known_grads_) return;
    for (KnownGrad& each : known_grads_) each.forget();
    has_known_grads_ = false;
}

std::unique_ptr<BoundOptimizer> DeviceOptimizer::make_like() const {
    auto other = std::make_unique<DeviceOptimizer>(owner(), options_, library_);
    other->device_ = device_;
    return other;
}

/// By way of the CPU's memory: arrays change their dtype once in a training, if ever.
void DeviceOptimizer::convert(const std::vector<Conversion>& conversions) const {
    if (conversions.empty()) return;
    const cuda::Stream pool = stream_of_pool(state_device_);
    const GilRelease release;
    const cuda::DeviceScope scope(state_device_);
    cuda::Event now;
    now.record(pool);
    now.wait();  // work that is queued there may still use the memory of the new arrays
    for (const Conversion& each : conversions) {
        const auto size = static_cast<std::size_t>(each.size);
        std::vector<std::byte> from(size * size_of(each.from_dtype)), to(size * size_of(each.to_dtype));
        cuda::copy_to_host(from.data(), each.from, from.size(), now);
        convert_state(to.data(), each.to_dtype, from.data(), each.from_dtype, each.size);
        cuda::copy_to_device_now(each.to, to.data(), to.size());
    }
}

void DeviceOptimizer::before_rebind() {
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->order(current);  // after the work that the user has queued on the state
    engine_->sequence()->latest().wait();
}

void DeviceOptimizer::before_adopt(BoundOptimizer& other) {
    auto& from = static_cast<DeviceOptimizer&>(other);
    python::make_room(retired_, 1);
    read_averages();
    const GilRelease release;
    from.engine_->continue_from(*engine_);
}

void DeviceOptimizer::adopt(BoundOptimizer& other) noexcept {
    auto& from = static_cast<DeviceOptimizer&>(other);
    engine_.swap(from.engine_);
    bound_.swap(from.bound_);
    known_grads_.swap(from.known_grads_);
    sum_forms_.clear();
    held_.swap(from.held_);
    has_known_grads_ = false;
    are_averages_changed_ = true;
    grad_libraries_ |= from.grad_libraries_;
    if (from.engine_->has_captured()) retired_.push_back(std::move(from.engine_));
}

cuda::Settings DeviceOptimizer::settings() const {
    cuda::Settings settings;
    settings.clip = options_.clip;
    settings.limit = options_.limit;
    settings.seed = options_.seed;
    return settings;
}

void DeviceOptimizer::walk(GradWalk& bound, const Form& form, const ArrayView& param, const ArrayView& grad) const {
    const int first_axis = is_clipped_by_units(form) ? 1 : 0;
    auto layout = layout_of(param, grad, form.order);
    Walk measured_param(param, c_order(param.ndim), first_axis), measured_grad(grad, c_order(grad.ndim), first_axis);
    bound.grad_strides.assign(grad.strides, grad.strides + grad.ndim);
    bound.layout = std::move(layout);
    bound.measured_param = std::move(measured_param);
    bound.measured_grad = std::move(measured_grad);
}

void DeviceOptimizer::describe_walks(const GradWalk& bound, const Form& form, cuda::Entry& entry) const {
    const bool by_units = is_clipped_by_units(form) && entry.tensor.size > 0;
    entry.tensor.layout = bound.layout ? &bound.layout->layout : nullptr;
    entry.units = by_units ? form.shape.shape()[0] : 1;
    entry.measured_param = {bound.measured_param.axes(), by_units ? form.shape.strides()[0] : 0};
    entry.measured_grad = {bound.measured_grad.axes(), by_units ? bound.grad_strides[0] : 0};
}

}  // namespace adamcore::python

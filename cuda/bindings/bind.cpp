// How an optimizer comes to its parameters on a device: a group is checked whole, then bound, and its state allocated.

#include <algorithm>

#include "adamcore/cuda/weights.hpp"
#include "adamcore/rules_info.hpp"
#include "exclusive.hpp"
#include "foreign.hpp"
#include "kept.hpp"
#include "optimizer.hpp"
#include "shadow.hpp"

namespace adamcore::python {
namespace {

/// What is read in groups begins at a whole group in every array at once if state is as far from one as parameters are.
constexpr std::size_t group_of_elements = 8;
constexpr std::size_t alignment = 256;

std::size_t phase_of(const Tensor& tensor) {
    if (tensor.layout || (is_half(tensor.dtype) && cuda::counts_from_start(tensor.weights))) return 0;
    return reinterpret_cast<std::uintptr_t>(tensor.param) / size_of(tensor.dtype) % group_of_elements;
}

}  // namespace

/// The parameters of a group that is being added: nothing of the optimizer has changed yet.
struct DeviceOptimizer::Addition {
    std::vector<Bound> bound;
    std::vector<cuda::Entry> entries;
    std::vector<py::object> shadows;
    std::pair<py::object, std::uintptr_t> memory;
    Regions regions;  ///< the optimizer's, and these parameters'
    int device = -1;
    cuda::Stream stream = 1;              ///< where state is made
    std::vector<cuda::Stream> producers;  ///< where parameters are written
};

DeviceOptimizer::DeviceOptimizer(std::string owner, const py::dict& options)
    : groups_(std::move(owner)), options_(read_options(options)) {}

void DeviceOptimizer::add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                                const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                                const py::tuple& variant_keys, const py::function& variant, const py::object& library) {
    const Exclusive exclusive(busy_, groups_.owner());
    Groups::Candidate candidate = groups_.look_at(hyper, variant_keys, variant, count_completed());
    if (engine_ && !engine_->has_captured()) {
        const py::gil_scoped_release release;  // what the device waits for may need it
        engine_->steps();                      // known from here on
    }
    const auto group = static_cast<std::int32_t>(groups_.size());
    Addition added;
    names_->require_new(names, labels);
    added.device = device_;
    bind_params(params, names, labels, group, added);
    added.regions.require_apart([&](std::int64_t tensor) {
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? names_->label(i) : labels[i - size()];
    });
    cuda::require_kernels(added.device);
    // Memory of a pool is to be used where the pool's current stream is.
    added.stream = std::max<cuda::Stream>(library.attr("stream")(added.device).cast<cuda::Stream>(), 1);
    bind_state(candidate.group, library, added);

    if (!engine_) {
        cuda::Settings settings;
        settings.clip = options_.clip;
        settings.limit = options_.limit;
        settings.seed = options_.seed;
        engine_.emplace(added.device, settings);
    }
    device_ = added.device;
    engine_->add_group(candidate.group);
    for (std::size_t i = 0; i < added.bound.size(); ++i) {
        added.bound[i].memory = memory_.size();
        bound_.push_back(std::move(added.bound[i]));
        grad_libraries_ |= bit_of(bound_.back().library);
        params_move_ = params_move_ || bound_.back().pointer.has_value();
        cuda::Entry& entry = added.entries[i];
        describe(bound_.back(), entry);
        engine_->add(entry);
    }
    memory_.push_back(std::move(added.memory));
    groups_.add(std::move(candidate));
    names_->add(names, labels, keys);
    regions_ = std::move(added.regions);
    for (Seen& each : seen_) {  // not held against the new parameters
        each.array = nullptr;
        each.reference = {};
    }
    seen_.resize(size());
    const py::gil_scoped_release release;
    engine_->order(added.stream);  // the first step may go to another stream
}

void DeviceOptimizer::bind_params(const py::list& params, const std::vector<std::string>& names,
                                  const std::vector<std::string>& labels, std::int32_t group, Addition& added) const {
    added.regions = regions_;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const std::string& label = labels[i];
        const py::object array = params[i];
        DeviceArray found = device_array(array, Access::write, label, 1);
        require_fit(options_, found.view.dtype, label);
        if (found.view.size > 0) {
            if (added.device < 0) added.device = found.device;
            if (found.device != added.device)
                throw py::value_error(label + ": the array is on CUDA device " + std::to_string(found.device) +
                                      ", but others of this optimizer are on device " + std::to_string(added.device) +
                                      "; all must be on one");
        }
        const cuda::Stream producer = found.stream.value_or(1);
        if (std::find(added.producers.begin(), added.producers.end(), producer) == added.producers.end())
            added.producers.push_back(producer);
        const ArrayView& view = found.view;
        Bound bound;
        bound.param = array;
        bound.library = found.library;
        if (found.library == Library::torch) bound.pointer = data_pointer(array);
        bound.param_lent = found.owner;
        bound.ndim = view.ndim;
        bound.order = options_.counts_in_c_order() ? c_order(view.ndim) : memory_order(view);
        cuda::Entry entry;
        Tensor& tensor = entry.tensor;
        tensor.param = view.data;
        tensor.size = view.size;
        tensor.step = 0;
        tensor.group = group;
        tensor.dtype = tensor.grad_dtype = view.dtype;
        tensor.state_dtype = options_.state_of(view.dtype);
        tensor.weights = options_.weights_of(view.dtype);
        tensor.number = number_of(names[i]);
        bound.axes = found.axes;
        walk(bound, view, view);
        tensor.layout = bound.layout ? &bound.layout->layout : nullptr;
        added.shadows.push_back(shadow_of(view));
        added.regions.add(Regions::region_of(view, added.shadows.back(), static_cast<std::int64_t>(size() + i)),
                          nullptr);
        added.bound.push_back(std::move(bound));
        added.entries.push_back(entry);
    }
    if (added.device < 0) added.device = 0;  // nothing but empty arrays, which are nowhere
    added.regions.sort();
}

void DeviceOptimizer::bind_state(const Group& group, const py::object& library, Addition& added) const {
    const std::size_t slot_count = all_rules()[group.rule].slot_count;
    const auto lay_out = [&](std::byte* data) {
        std::size_t next = 0;
        for (cuda::Entry& entry : added.entries) {
            Tensor& tensor = entry.tensor;
            const std::size_t phase = phase_of(tensor);
            const auto place = [&](std::size_t bytes) {
                const std::size_t item = tensor.size ? bytes / static_cast<std::size_t>(tensor.size) : 0;
                const std::size_t begin = (next + alignment - 1) / alignment * alignment + phase * item;
                next = begin + bytes;
                return begin;
            };
            lay_state_out(
                tensor, slot_count, place, [&](std::size_t slot, std::size_t at) { tensor.state[slot] = data + at; },
                [&](std::size_t i, std::size_t at) { tensor.extra[i] = data + at; });
        }
        return next;
    };
    // Arrays without elements are somewhere too.
    const std::size_t bytes = lay_out(nullptr);
    const auto given = library.attr("allocate")(bytes + alignment, added.device).cast<py::tuple>();
    const auto address = given[1].cast<std::uintptr_t>();
    const std::uintptr_t begin = (address + alignment - 1) / alignment * alignment;
    added.memory = {given[0], address};
    lay_out(reinterpret_cast<std::byte*>(begin));
    added.regions.add({begin, begin + bytes, -1, nullptr}, nullptr);
    added.regions.sort();

    std::vector<Tensor> tensors;
    for (const cuda::Entry& entry : added.entries) tensors.push_back(entry.tensor);
    auto& others = added.producers;
    others.erase(std::remove(others.begin(), others.end(), added.stream), others.end());
    const py::gil_scoped_release release;  // a queue that is full waits for what may need it
    cuda::Ordered ordered(added.device, added.stream, others);
    cuda::start_state(added.device, tensors, group, added.stream);
    ordered.finish();
}

/// Works out how a parameter and its gradient are walked.
void DeviceOptimizer::walk(Bound& bound, const ArrayView& param, const ArrayView& grad) const {
    const int first_axis = options_.clip == Clip::units && bound.ndim >= 2 ? 1 : 0;
    bound.grad_strides.assign(grad.strides, grad.strides + grad.ndim);
    bound.layout = layout_of(param, grad, bound.order);
    bound.measured_param = Walk(param, c_order(param.ndim), first_axis);
    bound.measured_grad = Walk(grad, c_order(grad.ndim), first_axis);
}

/// What of an entry depends on that.
void DeviceOptimizer::describe(const Bound& bound, cuda::Entry& entry) const {
    const bool by_units = options_.clip == Clip::units && bound.ndim >= 2 && entry.tensor.size > 0;
    entry.tensor.layout = bound.layout ? &bound.layout->layout : nullptr;
    entry.units = by_units ? bound.axes[0] : 1;
    entry.measured_param = {bound.measured_param.axes(),
                            by_units ? bound.axes[static_cast<std::size_t>(bound.ndim)] : 0};
    entry.measured_grad = {bound.measured_grad.axes(), by_units ? bound.grad_strides[0] : 0};
}

}  // namespace adamcore::python

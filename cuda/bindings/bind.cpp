// How an optimizer comes to its parameters on a device: a group is checked whole, then bound, and its state allocated.

#include <algorithm>

#include "adamcore/cuda/weights.hpp"
#include "adamcore/rules_info.hpp"
#include "device_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "optimizer/state_layout.hpp"
#include "runtime/gil.hpp"
#include "runtime/memory_error.hpp"
#include "runtime/room.hpp"
#include "shadow.hpp"

namespace adamcore::python {
namespace {

/// What is read in groups begins at a whole group in every array at once if state is as far from one as parameters are.
constexpr std::size_t group_of_elements = 8;
constexpr std::size_t alignment = 256;

std::size_t phase_of(const Tensor& tensor) {
    if (tensor.layout || cuda::counts_from_start(tensor)) return 0;
    return reinterpret_cast<std::uintptr_t>(tensor.param) / size_of(tensor.dtype) % group_of_elements;
}

/// Memory of the library's. What it says where there is none, names no array.
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

/// The parameters of a group that is being added: nothing of the optimizer has changed yet.
struct DeviceOptimizer::Addition {
    std::vector<Bound> bound;
    std::vector<cuda::Entry> entries;
    std::vector<py::object> shadows;
    std::pair<py::object, std::uintptr_t> memory;
    Regions::Addition regions;
    Containers::Group containers;
    std::optional<Groups::Candidate> group;
    int device = -1;
    cuda::Stream stream = 1;              ///< where state is made
    std::vector<cuda::Stream> producers;  ///< where parameters are written
};

DeviceOptimizer::DeviceOptimizer(std::string owner, const py::dict& options)
    : groups_(std::move(owner)), options_(read_options(options)) {}

void DeviceOptimizer::add_group(const py::list& param_groups, const py::dict& group, const py::object& source,
                                const py::list& names, const std::vector<std::string>& labels,
                                const std::vector<std::string>& keys, const py::tuple& variant_keys,
                                const py::function& variant, const py::object& library) {
    const Exclusive exclusive(use_, groups_.owner());
    Addition added;
    added.group = groups_.look_at(group, variant_keys, variant, count_completed());
    const std::vector<py::str> exact = exact_names(names);
    names_->require_new(exact, labels);
    added.device = device_;
    const auto params = py::reinterpret_borrow<py::list>(group["params"]);
    bind_params(params, exact, labels, added);
    cuda::require_kernels(added.device);
    // Memory of a pool is to be used where the pool's current stream is.
    added.stream = std::max<cuda::Stream>(library.attr("stream")(added.device).cast<cuda::Stream>(), 1);
    if (engine_) {
        const GilRelease release;  // what the device waits for may need it
        engine_->make_room(1, added.entries.size());
    }
    bind_state(added.group->group, library, labels, added);
    regions_.check(added.regions, [&](std::int64_t tensor) {
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? names_->label(i) : labels[i - size()];
    });
    start_state(added);
    added.containers = Containers::look_at(group, source, size());

    make_room(bound_, added.bound.size());
    make_room(seen_, added.bound.size());
    make_room(memory_, 1);
    held_.reserve(bound_.capacity());
    containers_.make_room();
    groups_.make_room();
    const bool is_first = !engine_;
    try {
        if (is_first) engine_.emplace(added.device, settings());
        {
            const GilRelease release;
            if (is_first) engine_->make_room(1, added.entries.size());
            engine_->order(added.stream);  // the first step may go to another stream
        }
        names_->add(exact, labels, keys, param_groups, group);
    } catch (...) {
        if (is_first) engine_.reset();
        throw;
    }
    commit(std::move(added));
}

/// There is room for all.
void DeviceOptimizer::commit(Addition&& added) {
    device_ = added.device;
    engine_->add_group(added.group->group);
    for (std::size_t i = 0; i < added.bound.size(); ++i) {
        Bound& bound = added.bound[i];
        bound.memory = memory_.size();
        grad_libraries_ |= bit_of(bound.library);
        params_move_ = params_move_ || bound.pointer.has_value();
        engine_->add(added.entries[i]);
        bound_.push_back(std::move(bound));
    }
    memory_.push_back(std::move(added.memory));
    groups_.add(std::move(*added.group));
    containers_.add(std::move(added.containers));
    regions_.commit(std::move(added.regions));
    if (has_seen_) {  // not held against the new parameters
        for (Seen& each : seen_) {
            each.array = nullptr;
            each.reference = {};
        }
        has_seen_ = false;
    }
    seen_.resize(size());
}

cuda::Settings DeviceOptimizer::settings() const {
    cuda::Settings settings;
    settings.clip = options_.clip;
    settings.limit = options_.limit;
    settings.seed = options_.seed;
    return settings;
}

void DeviceOptimizer::bind_params(const py::list& params, const std::vector<py::str>& names,
                                  const std::vector<std::string>& labels, Addition& added) const {
    const auto group = static_cast<std::int32_t>(groups_.size());
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
        bound.counts_writes = found.library == Library::torch && counts_writes(array);
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
        tensor.state_rounding = options_.state_rounding;
        tensor.number = number_of(names[i].cast<std::string>());
        bound.axes = found.axes;
        walk(bound, view, view);
        tensor.layout = bound.layout ? &bound.layout->layout : nullptr;
        added.shadows.push_back(shadow_of(view));
        added.regions.add(region_of(view, static_cast<std::int64_t>(size() + i)), nullptr);
        describe(bound, entry);
        added.bound.push_back(std::move(bound));
        added.entries.push_back(entry);
    }
    if (added.device < 0) added.device = 0;  // nothing but empty arrays, which are nowhere
}

void DeviceOptimizer::bind_state(const Group& group, const py::object& library, const std::vector<std::string>& labels,
                                 Addition& added) const {
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
    const auto given = allocate(library, bytes + alignment, added.device, labels);
    const auto address = given[1].cast<std::uintptr_t>();
    const std::uintptr_t begin = (address + alignment - 1) / alignment * alignment;
    added.memory = {given[0], address};
    lay_out(reinterpret_cast<std::byte*>(begin));
    added.regions.add({begin, begin + bytes, -1, nullptr}, nullptr);
}

/// Writes what state begins as.
void DeviceOptimizer::start_state(Addition& added) {
    std::vector<Tensor> tensors;
    for (const cuda::Entry& entry : added.entries) tensors.push_back(entry.tensor);
    auto& others = added.producers;
    others.erase(std::remove(others.begin(), others.end(), added.stream), others.end());
    const GilRelease release;  // a queue that is full waits for what may need it
    cuda::Ordered ordered(added.device, added.stream, others);
    cuda::start_state(added.device, tensors, added.group->group, added.stream);
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

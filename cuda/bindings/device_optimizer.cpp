#include "device_optimizer.hpp"

#include "adamcore/rules_info.hpp"
#include "gate/foreign.hpp"
#include "optimizer/state_layout.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

DeviceOptimizer::~DeviceOptimizer() {
    const GilRelease release;  // to give memory back waits for the device
    engine_.reset();
}

std::vector<StateArray> DeviceOptimizer::state_arrays(std::size_t tensor) const {
    const Bound& bound = bound_.at(tensor);
    const Tensor& t = engine_->entry(tensor).tensor;
    const RuleInfo& info = all_rules()[groups_[static_cast<std::size_t>(t.group)].rule];
    return arrays_of(t, info, {bound.ndim, bound.axes.data()}, bound.order);
}

StateArrays DeviceOptimizer::state_arrays() const {
    StateArrays arrays;
    for (std::size_t i = 0; i < size(); ++i) arrays.push_back(state_arrays(i));
    return arrays;
}

py::dict DeviceOptimizer::state(std::size_t tensor) const {
    use_.require_idle(groups_.owner());
    const auto tuple_of = [](const std::vector<Py_ssize_t>& values) {
        py::tuple all(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) all[i] = values[i];
        return all;
    };
    py::dict state;
    for (const StateArray& array : state_arrays(tensor)) {
        const auto& [owner, address] = memory_[bound_[tensor].memory];
        state[array.name] = py::make_tuple(owner, reinterpret_cast<std::uintptr_t>(array.data) - address,
                                           tuple_of(array.shape), tuple_of(array.strides), py::str(array.dtype));
    }
    return state;
}

/// A schedule may ask for counts: while it runs, its step has not begun.
std::optional<Exclusive> DeviceOptimizer::exclusive_for_counts() const {
    if (use_.is_held_here()) return std::nullopt;
    return std::optional<Exclusive>(std::in_place, use_, groups_.owner());
}

// What waits for the device lets go of the GIL, which what the device waits for may need.

std::int64_t DeviceOptimizer::steps(std::size_t tensor) const {
    if (tensor >= size()) throw py::index_error("no such tensor");
    const auto exclusive = exclusive_for_counts();
    const GilRelease release;
    return engine_->steps(tensor);
}

std::int64_t DeviceOptimizer::completed() const {
    const auto exclusive = exclusive_for_counts();
    return count_completed();
}

std::int64_t DeviceOptimizer::count_completed() const {
    if (completed_) return *completed_;
    const GilRelease release;
    return engine_->completed();
}

py::tuple DeviceOptimizer::snapshot() {
    const Exclusive exclusive(use_, groups_.owner());
    const cuda::Stream current = stream();
    std::vector<std::int64_t> steps;
    std::int64_t completed = 0;
    {
        const GilRelease release;
        engine_->order(current);  // after what the user has queued of the state
        steps = engine_->steps();
        completed = engine_->completed();
    }
    const auto [state, copies] = make_snapshot(state_arrays(), steps, *names_);
    {
        const GilRelease release;
        const cuda::DeviceScope scope(device_);
        for (const Copy& copy : copies)
            cuda::copy_to_host(copy.to, copy.from, copy.bytes, engine_->sequence()->latest());
    }
    return py::make_tuple(state, completed);
}

void DeviceOptimizer::restore(const py::list& values, const py::object& state, std::int64_t completed,
                              const py::function& to_numpy) {
    const Exclusive exclusive(use_, groups_.owner());
    const cuda::Stream current = stream();
    const StateArrays arrays = state_arrays();
    const auto is_own = [](const void*, const void*) { return false; };  // what is loaded lies in the CPU's memory
    const Checkpoint checkpoint = read_checkpoint(state, arrays, *names_, is_own, to_numpy);
    DictUpdates updates(containers_.dicts(), values);
    const Copies copies = copies_of(checkpoint, arrays);
    {
        const GilRelease release;
        engine_->require_countable(checkpoint.steps);
        engine_->order(current);  // after what the user has queued of the state
        const cuda::DeviceScope scope(device_);
        engine_->sequence()->latest().wait();
        for (const Copy& copy : copies) cuda::copy_to_device_now(copy.to, copy.from, copy.bytes);
        engine_->set_counts(checkpoint.steps, completed);
    }
    completed_ = engine_->has_captured() ? std::nullopt : std::optional(completed);
    updates.apply();
    py::list groups;
    for (const py::dict& group : containers_.dicts()) groups.append(group);
    upload_groups(groups);
}

int DeviceOptimizer::traverse(visitproc visit, void* arg) const {
    for (const Bound& bound : bound_) {
        Py_VISIT(bound.param.ptr());
        Py_VISIT(bound.param_lent.ptr());
        Py_VISIT(bound.lent.ptr());
    }
    for (const auto& [owner, address] : memory_) Py_VISIT(owner.ptr());
    if (const int stop = groups_.traverse(visit, arg)) return stop;
    return containers_.traverse(visit, arg);
}

void DeviceOptimizer::clear() {
    regions_ = {};
    // What goes last may run anyone's code. The memory of state stays until nothing on the device can need it.
    auto bound = std::move(bound_);
    auto seen = std::move(seen_);
    auto groups = std::exchange(groups_, Groups(groups_.owner()));
    auto containers = std::exchange(containers_, {});
}

}  // namespace adamcore::python

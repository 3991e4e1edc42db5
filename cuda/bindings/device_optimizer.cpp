#include "device_optimizer.hpp"

#include <utility>

#include "runtime/gil.hpp"

namespace adamcore::python {

DeviceOptimizer::DeviceOptimizer(std::string owner, const Options& options, py::object library)
    : BoundOptimizer(std::move(owner), options), library_(std::move(library)) {}

DeviceOptimizer::~DeviceOptimizer() {
    const GilRelease release;  // releasing memory waits for the device
    engine_.reset();
    retired_.clear();
}

py::dict DeviceOptimizer::state(std::size_t tensor) const {
    use_.require_idle(owner());
    const auto tuple_of = [](const std::vector<Py_ssize_t>& values) {
        py::tuple all(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) all[i] = values[i];
        return all;
    };
    py::dict state;
    for (const StateArray& array : state_arrays(tensor)) {
        const StateBlock& block = block_of(tensor, array.data);
        state[array.name] = py::make_tuple(block.keeper, reinterpret_cast<std::uintptr_t>(array.data) - block.address,
                                           tuple_of(array.shape), tuple_of(array.strides), py::str(array.dtype));
    }
    return state;
}

/// A schedule may ask for counts, because its step has not begun while it runs.
std::optional<Exclusive> DeviceOptimizer::exclusive_for_counts() const {
    if (use_.is_held_here()) return std::nullopt;
    return std::optional<Exclusive>(std::in_place, use_, owner());
}

// Functions that wait for the device release the GIL, which queued work may need.

std::int64_t DeviceOptimizer::steps(std::size_t tensor) const {
    if (tensor >= size()) throw py::index_error("no such tensor");
    const auto exclusive = exclusive_for_counts();
    const GilRelease release;
    return engine_->steps(tensor);
}

std::int64_t DeviceOptimizer::completed() {
    std::int64_t count;
    std::string warning;
    {
        const auto exclusive = exclusive_for_counts();
        count = count_completed();
        if (engine_) warning = overruns_.tell(engine_->overruns());
    }
    // Level 1 is the Python function that calls this, and level 2 is the user's.
    constexpr int level = 2;
    if (!warning.empty() && PyErr_WarnEx(PyExc_RuntimeWarning, (owner() + ": " + warning).c_str(), level) != 0)
        throw py::error_already_set();
    return count;
}

std::int64_t DeviceOptimizer::count_completed() const {
    if (completed_) return *completed_;
    const GilRelease release;
    return engine_->completed();
}

void DeviceOptimizer::settle() {
    if (!unsettled_) return;
    const auto exclusive = exclusive_for_counts();
    settle_spikes();
}

void DeviceOptimizer::settle_spikes() {
    if (!unsettled_) return;
    const cuda::Outcome outcome = [&] {
        const GilRelease release;
        return unsettled_->report.read();
    }();
    if (outcome.culprit < 0) unsettled_->history->record(outcome.norm, unsettled_->limit);
    unsettled_.reset();
}

void DeviceOptimizer::refuse_capture_of_guard() const {
    throw cuda::Error(owner() +
                      ": a step with a SpikeGuard cannot be captured into a CUDA graph, because the host decides which "
                      "norm is a spike; use a number as clip_norm");
}

std::vector<double> DeviceOptimizer::shared_numbers() {
    if (!engine_) return {};
    const auto exclusive = exclusive_for_counts();
    const GilRelease release;
    return engine_->numbers();
}

BoundOptimizer::Counts DeviceOptimizer::counts() {
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->order(current);  // after the work that the user has queued on the state
    return {engine_->progress(), engine_->completed(), engine_->numbers()};
}

void DeviceOptimizer::save(const Copies& copies) {
    const GilRelease release;
    const cuda::DeviceScope scope(device_);
    for (const Copy& copy : copies) cuda::copy_to_host(copy.to, copy.from, copy.bytes, engine_->sequence()->latest());
}

void DeviceOptimizer::save_settled(const Copies& copies) {
    if (copies.empty()) return;
    const cuda::Stream current = stream();
    {
        const GilRelease release;
        engine_->order(current);
    }
    save(copies);
}

void DeviceOptimizer::put_back(const Copies& copies) {
    if (copies.empty()) return;
    const GilRelease release;
    const cuda::DeviceScope scope(device_);
    engine_->sequence()->latest().wait();
    for (const Copy& copy : copies) cuda::copy_to_device_now(copy.to, copy.from, copy.bytes);
}

void DeviceOptimizer::load(const Copies& copies, const Counts& counts) {
    const cuda::Stream current = stream();
    {
        const GilRelease release;
        engine_->require_countable(counts.tensors);
        engine_->order(current);  // after the work that the user has queued on the state
        const cuda::DeviceScope scope(device_);
        engine_->sequence()->latest().wait();
        for (const Copy& copy : copies) cuda::copy_to_device_now(copy.to, copy.from, copy.bytes);
        engine_->set_counts(counts.tensors, counts.completed);
        engine_->set_numbers(counts.numbers);
    }
    completed_ = engine_->has_captured() ? std::nullopt : std::optional(counts.completed);
}

void DeviceOptimizer::loaded() {
    py::list groups;
    for (const py::dict& group : containers_.dicts()) groups.append(group);
    upload_groups(groups, uploaded_steps_);
    load_averages();
}

/// (Replays of captured steps go on with averages, and the host does not notice.)
void DeviceOptimizer::read_averages() {
    if (!engine_ || averages_.empty() || (are_averages_known_ && !engine_->has_captured())) return;
    const std::vector<WeightAverage::Progress> found = [&] {
        const GilRelease release;
        return engine_->averages();
    }();
    for (std::size_t k = 0; k < found.size(); ++k) averages_[k].progress = found[k];
    are_averages_known_ = true;
}

void DeviceOptimizer::require_new_averages() const {
    if (engine_ && engine_->has_captured())
        throw cuda::Error(
            "averages of weights cannot be added after a step has been captured into a CUDA graph: make another "
            "optimizer");
}

void DeviceOptimizer::load_averages() {
    are_averages_known_ = true;
    if (!engine_ || averages_.empty()) return;
    std::vector<WeightAverage::Progress> progress;
    for (const Averaged& each : averages_) progress.push_back(each.progress);
    const GilRelease release;
    engine_->set_progress(progress);
}

void DeviceOptimizer::send_averages() {
    if (!are_averages_changed_) return;
    read_averages();
    std::vector<cuda::FollowedAverage> averages;
    for (const Averaged& each : averages_)
        averages.push_back({each.average, each.progress, pass_of(each.average.kind), arrays_of_slot(each.slot.name)});
    const GilRelease release;  // releasing memory waits for the device
    engine_->set_averages(std::move(averages));
    are_averages_changed_ = false;
}

int DeviceOptimizer::traverse(visitproc visit, void* arg) const {
    Py_VISIT(library_.ptr());
    for (const Bound& bound : bound_) {
        Py_VISIT(bound.param.ptr());
        Py_VISIT(bound.param_lent.ptr());
        Py_VISIT(bound.lent.ptr());
    }
    for (const StateBlock& block : window_.blocks()) Py_VISIT(block.keeper.ptr());
    for (const std::vector<StateBlock>& blocks : blocks_) {
        for (const StateBlock& block : blocks) Py_VISIT(block.keeper.ptr());
    }
    return traverse_shared(visit, arg);
}

void DeviceOptimizer::clear() noexcept {
    // What goes last may run anyone's code. The memory of state stays until nothing on the device can need it.
    const auto library = std::move(library_);
    const auto bound = std::move(bound_);
    const auto known_grads = std::move(known_grads_);
    clear_shared();
}

}  // namespace adamcore::python

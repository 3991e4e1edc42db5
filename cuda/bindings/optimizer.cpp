#include "optimizer.hpp"

#include "adamcore/rules_info.hpp"
#include "kept.hpp"

namespace adamcore::python {

DeviceOptimizer::~DeviceOptimizer() {
    const py::gil_scoped_release release;  // to give memory back waits for the device
    engine_.reset();
}

std::vector<std::string> DeviceOptimizer::slots(std::size_t tensor) const {
    const Tensor& t = engine_->entry(tensor).tensor;
    std::vector<std::string> names = slot_names(groups_[static_cast<std::size_t>(t.group)].rule);
    for (const Kept& kept : kept_of(t)) names.emplace_back(kept.name);
    return names;
}

py::tuple DeviceOptimizer::state(std::size_t tensor, std::size_t slot) const {
    const Bound& bound = bound_.at(tensor);
    const Tensor& t = engine_->entry(tensor).tensor;
    const std::size_t slot_count = all_rules()[groups_[static_cast<std::size_t>(t.group)].rule].slot_count;
    const auto kept = kept_of(t);
    if (slot >= slot_count + kept.size()) throw py::index_error("no such slot");
    const auto& [owner, address] = memory_[bound.memory];
    const bool is_kept = slot >= slot_count;
    const void* data = is_kept ? t.extra[slot - slot_count] : t.state[slot];
    const std::string dtype = is_kept ? kept[slot - slot_count].dtype : name_of(t.state_dtype);
    const auto offset = reinterpret_cast<std::uintptr_t>(data) - address;
    if (is_kept && slot - slot_count == 1)  // bits, not elements
        return py::make_tuple(owner, offset, py::make_tuple((t.size + 7) / 8), py::make_tuple(1), dtype);
    const std::size_t item = is_kept ? (dtype == "float32" ? 4 : 2) : size_of(t.state_dtype);
    const auto strides = dense_strides(bound.ndim, bound.axes.data(), bound.order, static_cast<Py_ssize_t>(item));
    const auto tuple_of = [&](const Py_ssize_t* values) {
        py::tuple all(bound.ndim);
        for (int i = 0; i < bound.ndim; ++i) all[static_cast<std::size_t>(i)] = values[i];
        return all;
    };
    return py::make_tuple(owner, offset, tuple_of(bound.axes.data()), tuple_of(strides.data()), dtype);
}

namespace {

void require_count(std::int64_t steps) {
    if (steps < 0) throw py::value_error("a number of steps must be >= 0, got " + std::to_string(steps));
}

}  // namespace

/// A schedule may ask for counts: while it runs, its step has not begun.
std::optional<Exclusive> DeviceOptimizer::exclusive_for_counts() const {
    if (stepping_.load() == std::this_thread::get_id()) return std::nullopt;
    return std::optional<Exclusive>(std::in_place, busy_, groups_.owner());
}

// What waits for the device lets go of the GIL, which what the device waits for may need.

std::int64_t DeviceOptimizer::steps(std::size_t tensor) const {
    if (tensor >= size()) throw py::index_error("no such tensor");
    const auto exclusive = exclusive_for_counts();
    const py::gil_scoped_release release;
    return engine_->steps(tensor);
}

std::vector<std::int64_t> DeviceOptimizer::all_steps() const {
    if (!engine_) return {};
    const auto exclusive = exclusive_for_counts();
    const py::gil_scoped_release release;
    return engine_->steps();
}

void DeviceOptimizer::set_steps(std::size_t tensor, std::int64_t steps) {
    require_count(steps);
    if (tensor >= size()) throw py::index_error("no such tensor");
    const Exclusive exclusive(busy_, groups_.owner());
    const py::gil_scoped_release release;
    engine_->set_steps(tensor, steps);
}

std::int64_t DeviceOptimizer::completed() const {
    const auto exclusive = exclusive_for_counts();
    return count_completed();
}

std::int64_t DeviceOptimizer::count_completed() const {
    if (completed_) return *completed_;
    const py::gil_scoped_release release;
    return engine_->completed();
}

void DeviceOptimizer::set_completed(std::int64_t steps) {
    require_count(steps);
    const Exclusive exclusive(busy_, groups_.owner());
    if (engine_) {
        const py::gil_scoped_release release;
        engine_->set_completed(steps);
    }
    completed_ = engine_ && engine_->has_captured() ? std::nullopt : std::optional(steps);
}

}  // namespace adamcore::python

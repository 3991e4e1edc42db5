// What the CUDA optimizer copies to the device for steps that have been captured.

#include "adamcore/rule_registry.hpp"
#include "device_optimizer.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// What users call a field of a rule, such as "betas[0]".
std::string label_of(std::size_t rule, std::size_t field) {
    const HyperPlace place = place_of_field(all_rules()[rule].fields[field].name);
    return place.index < 0 ? place.key : place.key + "[" + std::to_string(place.index) + "]";
}

}  // namespace

void DeviceOptimizer::upload(const py::list& param_groups, std::int64_t steps) {
    const Exclusive exclusive(use_, owner());
    upload_groups(param_groups, steps);
    uploaded_steps_ = steps;
}

void DeviceOptimizer::upload_groups(const py::list& param_groups, std::int64_t steps) {
    containers_.require_unchanged(param_groups, *names_, owner());
    groups_.read(param_groups);
    auto [next, keys] = forecast(param_groups, steps);
    for (std::size_t i = 0; i < groups_.size(); ++i) engine_->set_group(i, groups_[i]);
    engine_->set_forecast(std::move(next));
    overruns_.uploaded(engine_->overruns(), std::move(keys));
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->upload(current);
}

void DeviceOptimizer::evaluate_schedules(const py::list& param_groups, bool captured) {
    if (!captured || completed_) groups_.evaluate(param_groups, count_completed());
}

void DeviceOptimizer::keep_values() {
    if (!engine_->forecast().fields.empty()) return;
    const bool is_current = completed_.has_value();
    engine_->set_forecast({completed_.value_or(0), is_current ? 1 : 0, {}, {}});
}

std::pair<cuda::Forecast, std::set<std::string>> DeviceOptimizer::forecast(const py::list& param_groups,
                                                                           std::int64_t steps) {
    cuda::Forecast found;
    std::set<std::string> keys;
    if (!groups_.has_schedules()) return {found, keys};
    const std::int64_t completed = count_completed();
    groups_.evaluate(param_groups, completed);
    if (steps == 0) return {{completed, 1, {}, {}}, keys};
    auto [uses, values, count] = groups_.forecast(completed, static_cast<std::size_t>(steps));
    found.begin = completed;
    found.count = static_cast<std::int64_t>(count);
    found.values = std::move(values);
    for (const auto& use : uses) {
        found.fields.push_back({static_cast<std::int32_t>(use.group), static_cast<std::int32_t>(use.field),
                                static_cast<std::int32_t>(use.row)});
        keys.insert(label_of(groups_[use.group].rule, use.field));
    }
    return {std::move(found), std::move(keys)};
}

}  // namespace adamcore::python

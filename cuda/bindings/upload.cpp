// What the CUDA optimizer copies to the device for steps that have been captured.

#include "adamcore/rule_registry.hpp"
#include "device_optimizer.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
void DeviceOptimizer::upload(const py::list& param_groups, std::int64_t steps) {
    const Exclusive exclusive(use_, owner());
    upload_groups(param_groups, steps);
    uploaded_steps_ = steps;
}

void DeviceOptimizer::upload_groups(const py::list& param_groups, std::int64_t steps) {
    containers_.require_unchanged(param_groups, *names_, owner());
    groups_.read(param_groups);
    Upcoming upcoming;
    if (groups_.has_schedules()) {
        const std::int64_t completed = count_completed();
        groups_.evaluate(param_groups, completed);
        upcoming = evaluate_ahead(completed, steps);
    }
    for (std::size_t i = 0; i < groups_.size(); ++i) engine_->set_group(i, groups_[i]);
    use(std::move(upcoming));
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->upload(current);
}

void DeviceOptimizer::use(Upcoming upcoming) {
    engine_->set_forecast(std::move(upcoming.forecast));
    overruns_.uploaded(engine_->overruns(), std::move(upcoming.keys));
    uploaded_listing_ = groups_.listing();
}

std::optional<DeviceOptimizer::Upcoming> DeviceOptimizer::evaluate_for_capture() {
    if (!groups_.has_schedules()) return Upcoming{};
    const bool has_values = !engine_->forecast().fields.empty();
    if (has_values && (!completed_ || groups_.listing() == uploaded_listing_)) return std::nullopt;
    return evaluate_ahead(completed_, has_values ? uploaded_steps_ : 0);
}

DeviceOptimizer::Upcoming DeviceOptimizer::evaluate_ahead(std::optional<std::int64_t> completed,
                                                          std::int64_t steps) const {
    Upcoming upcoming;
    upcoming.forecast.begin = completed.value_or(0);
    upcoming.forecast.count = completed ? 1 : 0;
    if (!completed || steps == 0) return upcoming;
    auto [uses, values, count] = groups_.forecast(*completed, static_cast<std::size_t>(steps));
    upcoming.forecast.count = static_cast<std::int64_t>(count);
    upcoming.forecast.values = std::move(values);
    for (const auto& [group, field, row] : uses) {
        upcoming.forecast.fields.push_back(
            {static_cast<std::int32_t>(group), static_cast<std::int32_t>(field), static_cast<std::int32_t>(row)});
        upcoming.keys.insert(label_of(all_rules()[groups_[group].rule].fields[field]));
    }
    return upcoming;
}

}  // namespace adamcore::python

// What schedules will give in steps to come.

#include <algorithm>

#include "groups/agreement.hpp"
#include "groups/groups.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {

Groups::Forecast Groups::forecast(std::int64_t completed, std::size_t count) const {
    Forecast forecast;
    forecast.count = count;
    forecast.values.resize(timetable_.size() * count);
    std::vector<std::vector<const Run*>> runs(timetable_.size());  // one for each range
    for (const Run& run : runs_) {
        for (std::size_t i = run.begin; i < run.end; ++i) forecast.uses.push_back({i, run.field, run.schedule});
        auto& known = runs[run.schedule];
        const auto has_range = [&](const Run* other) { return other->range == run.range; };
        if (std::none_of(known.begin(), known.end(), has_range)) known.push_back(&run);
    }
    std::vector<const Selection*> selects(timetable_.size());
    for (const Selection& each : selections_) selects[each.schedule] = &each;
    for (std::size_t i = 0; i < timetable_.size(); ++i) {
        for (std::size_t k = 0; k < count; ++k) {
            const std::int64_t t = completed + static_cast<std::int64_t>(k);
            const Timetable::Value value = timetable_.preview(i, t, {owner_, firsts_[i].label, firsts_[i].group});
            forecast.values[i * count + k] = value.number;
            for (const Run* run : runs[i]) require_in_range(*run, value);
            if (selects[i]) require_same_rule(*selects[i], value);
        }
    }
    require_agreement(forecast);
    return forecast;
}

void Groups::require_agreement(const Forecast& forecast) const {
    std::vector<Group> groups = groups_;
    for (std::size_t k = 0; k < forecast.count; ++k) {
        for (const auto& [group, field, row] : forecast.uses)
            groups[group].hyper[field] = forecast.values[row * forecast.count + k];
        python::require_agreement(owner_, groups);
    }
}

void Groups::require_same_rule(const Selection& selection, const Timetable::Value& value) const {
    const Selector& selector = readers_[selection.group].selectors[selection.selector];
    if ((value.number == 0) == selector.is_zero) return;
    throw py::value_error(owner_ + ": " + selector.label + " is " + (selector.is_zero ? "0" : "not 0") +
                          " now, and its schedule, " + repr_of(value.schedule) + ", gives " +
                          repr_of(py::float_(value.number)) + " after " + std::to_string(value.completed) +
                          " completed steps, which selects another rule; captured steps cannot change their rule" +
                          in_group(static_cast<int>(selection.group)));
}

}  // namespace adamcore::python

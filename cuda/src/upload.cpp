// What an engine copies to the device for steps whose constants are computed there.

#include "state.hpp"

namespace adamcore::cuda {
namespace {

bool is_complete(const Forecast& forecast, std::size_t groups) {
    for (const ScheduledField& scheduled : forecast.fields) {
        const auto group = static_cast<std::size_t>(scheduled.group), field = static_cast<std::size_t>(scheduled.field),
                   row = static_cast<std::size_t>(scheduled.row);
        if (group >= groups || field >= max_fields || forecast.count < 1) return false;
        if (row >= forecast.values.size() / static_cast<std::size_t>(forecast.count)) return false;
    }
    return true;
}

}  // namespace

void Engine::set_forecast(Forecast forecast) {
    if (!is_complete(forecast, groups_.size()))
        throw Error("a forecast must have a row of values for each of its hyper-parameters");
    const bool is_same = forecast.fields.empty() && forecast_.fields.empty() && forecast.begin == forecast_.begin &&
                         forecast.count == forecast_.count;
    if (is_same) return;
    forecast_ = std::move(forecast);
    forecast_changed_ = true;
}

void Engine::upload(Stream stream) {
    order(stream);
    if (!state_) return;  // the first step copies everything
    const DeviceScope scope(device_);
    settle(stream);
    const bool is_known = counts_ != Counts::device && !has_captured();
    send(stream);
    if (is_known) counts_ = Counts::both;
    sequence_->advance(stream);
}

void Engine::order(Stream stream) {
    const DeviceScope scope(device_);
    if (is_capturing(stream))
        throw Error("only steps can be captured into a CUDA graph; do everything else before the capture begins");
    sequence_->follow(stream);
    sequence_->advance(stream);
}

/// Copies the input of Decide.
void Engine::send(Stream stream) {
    // Replays write the values of schedules into the groups on the device.
    groups_changed_ |= has_captured() && course_.schedules.field_count > 0;
    Staging& staging = Staging::of(device_);
    bring([&](void* to, const void* from, std::size_t bytes) { staging.send(to, from, bytes, stream); });
}

/// The same for a captured step, outside the capture, because a captured copy would run again in each replay.
void Engine::bring_for_capture() {
    const bool is_there = counts_ != Counts::host && !groups_changed_ && !forecast_changed_;
    if (!is_there) sequence_->latest().wait();  // earlier steps and replays may still have to read the old contents
    bring(copy_to_device_now);
}

/// If a copy fails, the next call copies everything again.
template <class Copy>
void Engine::bring(const Copy& copy) {
    if (forecast_changed_) bring_table(copy);
    if (counts_ == Counts::host) {
        copy(state_->clocks, clocks_.data(), clocks_.size() * sizeof(Clock));
        copy(state_->course, &course_, sizeof course_);
        copy(state_->numbers, &numbers_, sizeof numbers_);
    } else if (forecast_changed_) {
        copy(&state_->course->schedules, &course_.schedules, sizeof course_.schedules);
    }
    if (forecast_changed_) state_->use_table();
    if (groups_changed_) copy(state_->groups, groups_.data(), groups_.size() * sizeof(Group));
    forecast_changed_ = groups_changed_ = false;
    counts_ = Counts::device;
}

/// Graphs know only the address of the course, so a table may be anywhere, and it is complete before the course points
/// to it.
template <class Copy>
void Engine::bring_table(const Copy& copy) {
    const auto lay_out = [&](Packer packer, ScheduleTable& table) {
        table.fields = packer.add(forecast_.fields);
        table.values = packer.add(forecast_.values);
        return packer.size();
    };
    ScheduleTable table{nullptr, nullptr, forecast_.begin, forecast_.count,
                        static_cast<std::int64_t>(forecast_.fields.size())};
    std::vector<std::byte> bytes(lay_out({}, table));
    if (!bytes.empty()) {
        std::byte* const memory = state_->room_for_table(device_, bytes.size(), settings_.stream);
        lay_out({bytes.data(), memory}, table);
        copy(memory, bytes.data(), bytes.size());
    }
    course_.schedules = table;
}

}  // namespace adamcore::cuda

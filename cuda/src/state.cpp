// How an engine's tables are copied to the device, and when they must be copied again.

#include "state.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "adamcore/cuda/kernels.hpp"
#include "adamcore/rule_registry.hpp"
#include "reports.hpp"

namespace adamcore::cuda {

Engine::State::State(int device, std::size_t groups_known, std::size_t tensors_known, std::optional<Stream> stream)
    : group_count(groups_known), tensor_count(tensors_known), block(device, lay_out({}), stream) {
    lay_out({nullptr, block.data()});
}

std::size_t Engine::State::lay_out(Packer packer) {
    groups = packer.reserve<Group>(group_count);
    course = packer.reserve<Course>(1);
    numbers = packer.reserve<Numbers>(1);
    clocks = packer.reserve<Clock>(tensor_count);
    constants = packer.reserve<Constants>(tensor_count);
    powers = packer.reserve<bias::Powers>(tensor_count * rule::max_decays);
    control = packer.reserve<Control>(1);
    turn = packer.reserve<std::byte>(tensor_count * (sizeof(void*) + sizeof(std::int32_t)));
    return packer.size();
}

std::byte* Engine::State::room_for_table(int device, std::size_t bytes, std::optional<Stream> stream) {
    std::unique_ptr<Block>& table = tables_[1];
    if (!table || table->size() < bytes) table = std::make_unique<Block>(device, bytes, stream);
    return table->data();
}

/// Reads the step counts from the device, unless the host knows them. They stay valid until the next step, unless there
/// may be replays, which the host does not notice.
void Engine::fetch_counts() const {
    if (counts_ != Counts::device) return;
    const DeviceScope scope(device_);
    const auto* const first = reinterpret_cast<const std::byte*>(state_->course);
    const auto offset_of = [&](const void* place) {
        return static_cast<std::size_t>(static_cast<const std::byte*>(place) - first);
    };
    const std::size_t offset = offset_of(state_->clocks);
    std::vector<std::byte> bytes(offset + clocks_.size() * sizeof(Clock));
    copy_to_host(bytes.data(), first, bytes.size(), sequence_->latest());
    Course found;
    std::memcpy(&found, bytes.data(), sizeof found);
    course_.completed = found.completed;
    course_.overruns = found.overruns;
    std::memcpy(&numbers_, bytes.data() + offset_of(state_->numbers), sizeof numbers_);
    std::memcpy(clocks_.data(), bytes.data() + offset, clocks_.size() * sizeof(Clock));
    if (!has_captured()) counts_ = Counts::both;
}

std::vector<Progress> Engine::progress() const {
    if (to_count_.size() == entries_.size()) return to_count_;
    fetch_counts();
    std::vector<Progress> progress;
    for (const Entry& entry : entries_) {
        const Clock& clock = clocks_[static_cast<std::size_t>(entry.clock)];
        progress.push_back({clock.step, clock.has_begun});
    }
    return progress;
}

std::vector<std::int64_t> Engine::steps() const {
    std::vector<std::int64_t> steps;
    for (const Progress& each : progress()) steps.push_back(each.step);
    return steps;
}

std::int64_t Engine::steps(std::size_t i) const {
    if (to_count_.size() == entries_.size()) return to_count_[i].step;
    fetch_counts();
    return clocks_[static_cast<std::size_t>(entries_[i].clock)].step;
}

std::int64_t Engine::completed() const {
    fetch_counts();
    return course_.completed;
}

void Engine::require_countable(const std::vector<Progress>& progress) const {
    if (!has_captured()) return;
    std::vector<const Progress*> of_clock(clocks_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Progress*& known = of_clock[static_cast<std::size_t>(entries_[i].clock)];
        if (known && (known->step != progress[i].step || known->has_begun != progress[i].has_begun))
            throw Error("tensors that share a step count in a captured step cannot be given different step counts");
        known = &progress[i];
    }
}

void Engine::set_counts(const std::vector<Progress>& progress, std::int64_t completed) {
    std::vector<Progress> to_count = progress;
    fetch_counts();
    to_count_ = std::move(to_count);
    course_.completed = completed;
    counts_ = Counts::host;
}

const RuleInfo* Engine::rule_with_numbers() const {
    for (const Group& group : groups_) {
        if (all_rules()[group.rule].number_count > 0) return &all_rules()[group.rule];
    }
    return nullptr;
}

std::vector<double> Engine::numbers() const {
    const RuleInfo* const rule = rule_with_numbers();
    if (!rule) return {};
    fetch_counts();
    return {numbers_.of, numbers_.of + rule->number_count};
}

void Engine::set_numbers(const std::vector<double>& numbers) {
    fetch_counts();
    std::copy_n(numbers.begin(), std::min(numbers.size(), max_numbers), numbers_.of);
    counts_ = Counts::host;
}

std::vector<WeightAverage::Progress> Engine::averages() const {
    return followers_.progress(device_, sequence_->latest());
}

void Engine::set_progress(const std::vector<WeightAverage::Progress>& progress) {
    const DeviceScope scope(device_);
    sequence_->latest().wait();
    followers_.set_progress(progress);
}

void Engine::continue_from(const Engine& other) {
    set_forecast(other.forecast_);
    set_counts(other.progress(), other.completed());
    numbers_ = other.numbers_;
    course_.overruns = other.course_.overruns;
}

void Engine::require_settled() const {
    if (planned_ && !kinds_changed_ && to_count_.empty() && followers_.are_ready()) return;
    throw Error(
        "a step that is captured into a CUDA graph must be like the one before it: run a step with gradients of these "
        "dtypes and layouts, and None for the same parameters, before the capture");
}

/// If an allocation fails, the next step does the rest. Returns whether there are new tables.
bool Engine::settle(Stream stream) {
    if (!state_ || state_->tensor_count != entries_.size() || state_->group_count != groups_.size()) {
        fetch_counts();
        state_ = std::make_shared<State>(device_, groups_.size(), entries_.size(), settings_.stream);
        groups_changed_ = grads_changed_ = true;
        forecast_changed_ |= course_.schedules.count != no_schedules.count;
        course_.schedules = no_schedules;
        counts_ = Counts::host;
        for (Clock& clock : clocks_) clock.knows_powers = false;
    }
    if (!to_count_.empty()) {
        fetch_counts();
        make_clocks();
        counts_ = Counts::host;
    }
    if (kinds_changed_) split_clocks(stream);
    // Sums have terms only for tensors with gradients.
    const bool is_new = !planned_ || (kinds_changed_ && (measures_ || plan_.has_passes));
    if (is_new) make_tables(stream);
    kinds_changed_ = false;
    return is_new;
}

/// Tensors that have come equally far share one clock for each group, rule and compute type, unless their constants are
/// their own.
void Engine::make_clocks() {
    if (has_captured()) return keep_clocks();
    std::map<std::tuple<std::int64_t, bool, std::int32_t, std::size_t, Dtype, std::int64_t>, std::int32_t> places;
    clocks_.clear();
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Tensor& tensor = entries_[i].tensor;
        const std::size_t rule = rule_of(groups_[static_cast<std::size_t>(tensor.group)], tensor);
        Clock clock{to_count_[i].step, tensor.group, compute_dtype(tensor.dtype)};
        clock.has_begun = to_count_[i].has_begun;
        if (all_rules()[rule].has_own_constants) clock.tensor = static_cast<std::int64_t>(i);
        const auto [found, is_new] =
            places.try_emplace({clock.step, clock.has_begun, clock.group, rule, clock.dtype, clock.tensor},
                               static_cast<std::int32_t>(clocks_.size()));
        if (is_new) clocks_.push_back(clock);
        entries_[i].clock = found->second;
    }
    to_count_.clear();
    planned_ = false;
    kinds_changed_ = true;
}

/// Sets the counts without new clocks, because captured steps store which clock belongs to which tensor.
void Engine::keep_clocks() {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        Clock& clock = clocks_[static_cast<std::size_t>(entries_[i].clock)];
        clock.step = to_count_[i].step;
        clock.has_begun = to_count_[i].has_begun;
        clock.knows_powers = false;
    }
    to_count_.clear();
}

/// If only some of a clock's tensors have gradients, the others get a new clock, which starts as a copy.
void Engine::split_clocks(Stream stream) {
    std::vector<unsigned> seen(clocks_.size());  // bit 0: a tensor with a gradient, bit 1: one without
    for (const Entry& entry : entries_) seen[static_cast<std::size_t>(entry.clock)] |= entry.tensor.grad ? 1u : 2u;
    std::vector<std::int32_t> successors(clocks_.size(), -1);
    for (std::size_t clock = 0; clock < seen.size(); ++clock) {
        if (seen[clock] != 3) continue;
        if (has_captured())
            throw Error(
                "only some of the tensors that share a step count in a captured step have gradients now; run steps in "
                "which other gradients are missing before the capture");
        const std::size_t successor = clocks_.size();
        successors[clock] = static_cast<std::int32_t>(successor);
        Clock copy = clocks_[clock];
        copy.knows_powers = false;
        clocks_.push_back(copy);
        planned_ = false;
        if (counts_ == Counts::host) continue;
        copy_on_device(state_->clocks + successor, state_->clocks + clock, sizeof(Clock), stream);
        Staging::of(device_).send(&state_->clocks[successor].knows_powers, &copy.knows_powers, sizeof copy.knows_powers,
                                  stream);
    }
    for (Entry& entry : entries_) {
        const std::int32_t successor = successors[static_cast<std::size_t>(entry.clock)];
        if (successor >= 0 && !entry.tensor.grad) entry.clock = successor;
    }
    grads_changed_ = true;
}

void Engine::make_tables(Stream stream) {
    const PlanRequest request{entries_, groups_, settings_.clip, settings_.clip == Clip::value, measures_};
    Packer measure;
    make_plan(request, measure);
    const std::size_t size = measure.size();
    const bool fits = plan_block_ && plan_block_.use_count() == 1 && plan_block_->size() >= size;
    if (!fits) plan_block_ = std::make_shared<Block>(device_, size + size / 4, settings_.stream);
    std::vector<std::byte> host(size);
    Packer packer(host.data(), plan_block_->data());
    plan_ = make_plan(request, packer);
    Staging::of(device_).send(plan_block_->data(), host.data(), size, stream);
    planned_ = true;
}

/// The addresses of the gradients, followed by one number for each clock: its rule + 1, or 0 if its tensors have no
/// gradients.
std::vector<std::byte> Engine::turn() const {
    std::vector<std::byte> bytes(entries_.size() * sizeof(void*) + clocks_.size() * sizeof(std::int32_t));
    auto* const grads = reinterpret_cast<const void**>(bytes.data());
    auto* const ticks = reinterpret_cast<std::int32_t*>(grads + entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Tensor& tensor = entries_[i].tensor;
        grads[i] = tensor.grad;
        if (!tensor.grad) continue;
        const std::size_t rule = rule_of(groups_[static_cast<std::size_t>(tensor.group)], tensor);
        ticks[entries_[i].clock] = static_cast<std::int32_t>(rule) + 1;
    }
    return bytes;
}

const std::byte* Engine::turn_for(Stream stream, bool capturing) {
    if (!capturing) {
        if (grads_changed_) {
            const std::vector<std::byte> bytes = turn();
            Staging::of(device_).send(state_->turn, bytes.data(), bytes.size(), stream);
            const auto* const ticks = bytes.data() + entries_.size() * sizeof(void*);
            ticks_.resize(clocks_.size());
            std::memcpy(ticks_.data(), ticks, ticks_.size() * sizeof(std::int32_t));
            grads_changed_ = false;
        }
        return state_->turn;
    }
    // Later steps will have other gradients, but replays of this step will not.
    const std::vector<std::byte> bytes = turn();
    const auto own = std::make_shared<Block>(device_, bytes.size());
    copy_to_device_now(own->data(), bytes.data(), bytes.size());
    bring_for_capture();
    captured_.insert(captured_.end(), {own, plan_block_, state_, followers_.block()});
    return own->data();
}

Report Engine::Reports::make(const std::shared_ptr<Reports>& self, bool for_ever,
                             const std::shared_ptr<const Sequence>& steps) {
    const std::scoped_lock lock(lock_);
    if (free_.empty()) {
        blocks_.push_back(std::make_unique<Block>(device_, places * sizeof(Outcome), stream_));
        auto* const first = reinterpret_cast<Outcome*>(blocks_.back()->data());
        for (std::size_t i = places; i > 0; --i) free_.push_back(first + i - 1);
    }
    Outcome* const place = free_.back();
    free_.pop_back();
    const auto give_back = [self, for_ever](Outcome* outcome) {
        if (for_ever) return;
        const std::scoped_lock hold(self->lock_);
        self->free_.push_back(outcome);
    };
    return {std::shared_ptr<void>(place, [give_back](void* p) { give_back(static_cast<Outcome*>(p)); }), device_, place,
            steps, for_ever};
}

Outcome Report::read() const {
    Outcome outcome;
    const DeviceScope scope(device_);
    copy_to_host(&outcome, outcome_, sizeof outcome, steps_->latest());
    return outcome;
}

}  // namespace adamcore::cuda

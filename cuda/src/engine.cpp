#include "adamcore/cuda/engine.hpp"

#include "adamcore/cuda/kernels.hpp"
#include "reports.hpp"
#include "state.hpp"

namespace adamcore::cuda {

Engine::Engine(int device, const Settings& settings)
    : device_(device), settings_(settings), reports_(std::make_shared<Reports>(device, settings.stream)) {
    const DeviceScope scope(device);
    last_step_.emplace();
}

Engine::~Engine() = default;

void Engine::require_open() const {
    if (has_captured())
        throw Error(
            "parameters cannot be added after a step has been captured into a CUDA graph: make another optimizer");
}

/// What the device knows is to be moved to other memory.
void Engine::count_anew() {
    if (to_count_.size() != entries_.size()) to_count_ = all_steps();
    set_completed(completed());
}

void Engine::add_group(const Group& group) {
    require_open();
    count_anew();
    groups_.push_back(group);
    groups_changed_ = true;
    planned_ = false;
}

void Engine::set_group(std::size_t index, const Group& group) {
    Group& known = groups_[index];
    if (known.hyper == group.hyper && known.grad_scale == group.grad_scale && known.rule == group.rule) return;
    if (known.rule != group.rule) planned_ = false;
    known = group;
    groups_changed_ = true;
}

void Engine::add(const Entry& entry) {
    require_open();
    count_anew();
    to_count_.push_back(entry.tensor.step);
    entries_.push_back(entry);
    planned_ = false;
    kinds_changed_ = grads_changed_ = true;
}

void Engine::set_grad(std::size_t i, const void* grad) {
    const void*& known = entries_[i].tensor.grad;
    if (known == grad) return;
    if ((known == nullptr) != (grad == nullptr)) kinds_changed_ = true;
    known = grad;
    grads_changed_ = true;
}

void Engine::set_kind(std::size_t i, const Entry& entry) {
    const void* const grad = entries_[i].tensor.grad;
    const std::int32_t clock = entries_[i].clock;
    entries_[i] = entry;
    entries_[i].tensor.grad = grad;
    entries_[i].clock = clock;
    planned_ = false;
}

std::optional<Report> Engine::step(const StepRequest& request) { return run(request, true); }

Report Engine::measure(const StepRequest& request) {
    StepRequest with_check = request;
    with_check.check = true;
    return *run(with_check, false);
}

std::optional<Report> Engine::run(const StepRequest& request, bool updates) {
    const DeviceScope scope(device_);
    const Stream stream = request.stream;
    const bool capturing = is_capturing(stream);
    const bool measures = request.check || adamcore::measures(settings_.clip);
    if (measures != measures_) {
        measures_ = measures;
        planned_ = false;
    }
    if (capturing) {
        require_settled();
    } else {
        order_after_last(stream);
        settle(stream);
    }
    const std::vector<Stream> others = joined(request, capturing);
    // Its own, for what is recorded in a capture can be waited for there alone.
    std::optional<Event> crossing;
    if (!others.empty()) crossing.emplace();
    for (const Stream other : others) {
        crossing->record(other);
        crossing->hold(stream);
    }
    const std::byte* const grads = turn_for(stream, capturing);
    const auto* const arrays = reinterpret_cast<const void* const*>(grads);
    const auto* const ticks = reinterpret_cast<const std::int32_t*>(grads + entries_.size() * sizeof(void*));

    std::optional<Report> report;
    if (measures) {
        report = reports_->make(reports_, capturing);
        measure_gradients(request, arrays);
    }
    decide_step(request, report ? report->on_device() : nullptr, updates ? ticks : nullptr);
    if (updates) update(stream, arrays);
    if (!others.empty()) crossing->record(stream);
    for (const Stream other : others) crossing->hold(other);
    if (!capturing) last_step_->record(stream);
    return report;
}

/// The other streams that can be ordered with the step's: in a capture those that are captured too.
std::vector<Stream> Engine::joined(const StepRequest& request, bool capturing) const {
    std::vector<Stream> others;
    for (const Stream other : request.others) {
        const bool captured = is_capturing(other);
        if (captured && !capturing)
            throw Error("a gradient comes from a stream that is captured into a CUDA graph, and the step does not");
        if (captured == capturing) others.push_back(other);
    }
    return others;
}

void Engine::order_after_last(Stream stream) {
    const std::uint64_t identity = identity_of(stream);
    if (last_stream_ && *last_stream_ != identity) last_step_->hold(stream);
    last_stream_ = identity;
}

void Engine::measure_gradients(const StepRequest& request, const void* const* grads) const {
    const Stream stream = request.stream;
    cuda::measure(plan_.leaf_blocks, {plan_.leaves, plan_.readings, plan_.tensors, grads, plan_.leaf_sums}, stream);
    fold(plan_.fold.blocks, {plan_.fold.tiles, plan_.leaf_sums, plan_.fold.sums}, stream);
    if (settings_.clip != Clip::units) return;
    const std::int64_t blocks = (plan_.units + threads - 1) / threads;
    units(blocks,
          {plan_.fold.sums, plan_.fold.first, plan_.units, plan_.unit_squares, plan_.unit_factors, settings_.limit,
           request.scaling, request.loss_scale},
          stream);
    fold(plan_.unit_fold.blocks, {plan_.unit_fold.tiles, plan_.unit_squares, plan_.unit_fold.sums}, stream);
}

void Engine::decide_step(const StepRequest& request, Outcome* outcome, const std::int32_t* ticks) const {
    const FoldPlan& sums = settings_.clip == Clip::units ? plan_.unit_fold : plan_.fold;
    const bool by_blocks = measures_ && plan_.look_blocks > 0;
    DecideArguments a{};
    a.look.count = measures_ ? plan_.measured_count : 0;
    a.look.measured = plan_.measured;
    a.look.terms = sums.sums;
    a.look.first = sums.first;
    a.look.totals = plan_.totals;
    a.look.clip = settings_.clip;
    a.look.limit = settings_.limit;
    a.look.loss_scale = request.loss_scale;
    a.look.scaling = request.scaling;
    a.look.tensor_factors = plan_.tensor_factors;
    a.look.culprits = plan_.culprits;
    if (by_blocks) {
        look(plan_.look_blocks, a.look, request.stream);
        fold(plan_.total_fold.blocks, {plan_.total_fold.tiles, plan_.totals, plan_.total_fold.sums}, request.stream);
    }
    a.measures = measures_;
    a.check = request.check;
    a.sums = by_blocks ? plan_.total_fold.sums : plan_.totals;
    a.count = by_blocks ? plan_.total_fold.blocks : a.look.count;
    a.culprits = by_blocks ? plan_.look_blocks : 0;
    a.outcome = outcome;
    a.control = state_->control;
    a.clocks = state_->clocks;
    a.ticks = ticks;
    a.clock_count = ticks ? static_cast<std::int32_t>(clocks_.size()) : 0;
    a.groups = state_->groups;
    a.constants = state_->constants;
    a.completed = state_->completed;
    decide(1, a, request.stream);
}

void Engine::update(Stream stream, const void* const* grads) const {
    const double limit = settings_.clip == Clip::value ? settings_.limit : Treatment::no_limit;
    for (const UpdatePart& part : plan_.updates) {
        const UpdateArguments arguments{part.tiles,      plan_.tensors,        grads, state_->constants,
                                        state_->control, plan_.tensor_factors, limit, settings_.clip == Clip::units,
                                        settings_.seed};
        update_launches(part.type, part.dense)[part.rule](part.blocks, arguments, stream);
    }
}

Control Engine::control() const {
    Control control;
    const DeviceScope scope(device_);
    copy_to_host(&control, state_->control, sizeof control);
    return control;
}

void Engine::upload(Stream stream) {
    order(stream);
    if (!state_) return;  // the first step brings all
    const DeviceScope scope(device_);
    settle(stream);
    last_step_->record(stream);
}

void Engine::order(Stream stream) {
    const DeviceScope scope(device_);
    if (is_capturing(stream)) throw Error("only steps can be captured into a CUDA graph, not what comes before them");
    order_after_last(stream);
    last_step_->record(stream);
}

}  // namespace adamcore::cuda

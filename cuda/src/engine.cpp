#include "adamcore/cuda/engine.hpp"

#include <algorithm>

#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/statistics/observation.hpp"
#include "adamcore/rule_registry.hpp"
#include "reports.hpp"
#include "state.hpp"

namespace adamcore::cuda {
namespace {

std::size_t rule_of_tick(std::int32_t tick) { return static_cast<std::size_t>(tick) - 1; }

}  // namespace

Engine::Engine(int device, const Settings& settings)
    : device_(device),
      settings_(settings),
      reports_(std::make_shared<Reports>(device, settings.stream)),
      observations_(std::make_shared<Pool>(device)) {
    const DeviceScope scope(device);
    sequence_ = std::make_shared<Sequence>();
}

Engine::~Engine() = default;

void Engine::require_open() const {
    if (has_captured())
        throw Error(
            "parameters cannot be added after a step has been captured into a CUDA graph: make another optimizer");
}

/// Brings the counts to the host, because the device state will move to other memory.
void Engine::count_anew() { set_counts(progress(), completed()); }

void Engine::make_room(std::size_t groups, std::size_t tensors) {
    require_open();
    if (to_count_.size() != entries_.size() || counts_ != Counts::host) count_anew();
    const auto grow = [](auto& elements, std::size_t more) {
        const std::size_t needed = elements.size() + more;
        if (needed > elements.capacity()) elements.reserve(std::max(needed, 2 * elements.capacity()));
    };
    grow(groups_, groups);
    grow(entries_, tensors);
    grow(to_count_, tensors);
}

void Engine::add_group(const Group& group) {
    make_room(1, 0);
    const bool had_numbers = rule_with_numbers() != nullptr;
    groups_.push_back(group);
    if (!had_numbers) begin_numbers(group);
    groups_changed_ = true;
    planned_ = false;
}

void Engine::set_group(std::size_t index, const Group& group) {
    Group& known = groups_[index];
    if (known.hyper == group.hyper && known.grad_scale == group.grad_scale && known.rule == group.rule) return;
    if (known.rule != group.rule) {
        require_free_rules();
        const RuleInfo &before = all_rules()[known.rule], &after = all_rules()[group.rule];
        // Tensors share clocks in another way.
        const bool shares_alike = before.has_own_constants == after.has_own_constants &&
                                  (before.for_vectors == known.rule) == (after.for_vectors == group.rule);
        if (!shares_alike) count_anew();
        if (!rule_with_numbers()) begin_numbers(group);
        planned_ = false;
        grads_changed_ = true;  // and with them the rules of clocks
    }
    known = group;
    groups_changed_ = true;
}

/// (Numbers that no rule uses are not read.)
void Engine::begin_numbers(const Group& group) {
    const RuleInfo& rule = all_rules()[group.rule];
    if (rule.number_count == 0) return;
    fetch_counts();
    for (std::size_t i = 0; i < rule.number_count; ++i) numbers_.of[i] = rule.first_number(group.hyper, i);
    counts_ = Counts::host;
}

void Engine::require_free_rules() const {
    if (has_captured())
        throw Error(
            "options that select the rule (such as nesterov) cannot change after a step has been captured into a CUDA "
            "graph: make another optimizer");
}

void Engine::add(const Entry& entry) {
    make_room(0, 1);
    to_count_.push_back({entry.tensor.step, entry.tensor.first <= entry.tensor.step});
    entries_.push_back(entry);
    planned_ = false;
    kinds_changed_ = grads_changed_ = true;
}

void Engine::set_state(std::size_t i, void* const (&state)[max_slots]) noexcept {
    auto& known = entries_[i].tensor.state;
    if (std::equal(std::begin(known), std::end(known), std::begin(state))) return;
    std::copy(std::begin(state), std::end(state), std::begin(known));
    planned_ = false;
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

void Engine::prepare(const StepRequest& request) {
    const DeviceScope scope(device_);
    make_ready(request, true, is_capturing(request.stream));
}

void Engine::make_ready(const StepRequest& request, bool updates, bool capturing) {
    const bool measures = request.check || adamcore::measures(settings_.clip);
    if (measures != measures_) {
        measures_ = measures;
        planned_ = false;
    }
    if (capturing) return require_settled();
    sequence_->follow(request.stream);
    if (settle(request.stream)) load_kernels(updates);
    if (followers_.are_ready()) return;
    followers_.prepare(device_, entries_, settings_.seed, settings_.stream, request.stream);
    followers_.load();
}

std::optional<Report> Engine::run(const StepRequest& request, bool updates) {
    const DeviceScope scope(device_);
    const bool capturing = is_capturing(request.stream);
    const std::vector<Stream> others = joined(request, capturing);
    make_ready(request, updates, capturing);
    std::optional<Report> report;
    if (measures_) report = reports_->make(reports_, capturing, sequence_);
    const Preparation by = capturing                       ? Preparation::replays
                           : updates && is_hosted(request) ? Preparation::host
                                                           : Preparation::device;
    if (by == Preparation::device) send(request.stream);
    const std::byte* const turn = turn_for(request.stream, capturing);

    Ordered ordered(device_, request.stream, others);
    if (capturing) sequence_->follow_when_replayed(request.stream);
    queue_step(request, updates, by, turn, report ? report->on_device() : nullptr);
    capturing ? sequence_->advance_when_replayed(request.stream) : sequence_->advance(request.stream);
    ordered.finish();
    return report;
}

void Engine::queue_step(const StepRequest& request, bool updates, Preparation by, const std::byte* turn,
                        Outcome* outcome) {
    const auto* const grads = reinterpret_cast<const void* const*>(turn);
    const auto* const ticks = reinterpret_cast<const std::int32_t*>(turn + entries_.size() * sizeof(void*));
    if (request.observation) observe_early(request, grads);
    if (measures_) measure_gradients(request, grads);
    if (by != Preparation::host) decide_step(request, outcome, updates ? ticks : nullptr, by == Preparation::replays);
    if (!updates) return;
    const bool hosted = by == Preparation::host;
    const StepArguments step = arguments_of(request, grads, hosted);
    run_passes(step, request.stream);
    update(request, step, hosted);
    if (request.observation) observe_late(request, grads);
    followers_.queue(state_->control, state_->course, request.stream);
}

/// Whether the host can compute a step's constants: it knows the step counts, the device decides nothing, and there are
/// so few clocks that their constants are passed with the launches.
bool Engine::is_hosted(const StepRequest& request) const {
    return counts_ != Counts::device && !measures_ && !request.observation && followers_.empty() && !request.scaling &&
           !has_captured() && !plan_.has_own_constants && clocks_.size() <= few_clocks;
}

/// The first launch of a kernel loads it to the device, and may be captured or run while other threads capture.
void Engine::load_kernels(bool updates) const {
    for (const auto& [rule, type] : plan_.kinds) decide_launch(type, rule).load();
    if (updates) {
        for (const UpdatePart& part : plan_.updates) update_launches(part.type, part.dense)[part.rule].load();
    }
    if (updates) load_passes();
    if (!measures_) return;
    cuda::measure.load();
    fold.load();
    units.load();
    look.load();
}

/// The other streams that can be ordered with the step's. In a capture these are the captured ones.
std::vector<Stream> Engine::joined(const StepRequest& request, bool capturing) const {
    std::vector<Stream> others;
    for (const Stream other : request.others) {
        const Capturing found = capturing_of(other);
        if (found != Capturing::no && !capturing)
            throw Error(
                found == Capturing::yes
                    ? "a gradient comes from a stream that is being captured into a CUDA graph, but the step is not "
                      "on a captured stream"
                    : "a gradient comes from the default stream, which cannot be used while a blocking stream is being "
                      "captured into a CUDA graph");
        if ((found == Capturing::yes) == capturing) others.push_back(other);
    }
    return others;
}

void Engine::measure_gradients(const StepRequest& request, const void* const* grads) const {
    const Stream stream = request.stream;
    cuda::measure(plan_.leaf_blocks, {plan_.leaves, plan_.readings, plan_.tensors, grads, plan_.leaf_sums}, stream);
    fold(plan_.fold.blocks, {plan_.fold.tiles, plan_.leaf_sums, plan_.fold.sums}, stream);
    if (settings_.clip != Clip::units) return;
    const std::int64_t blocks = (plan_.units + threads - 1) / threads;
    units(blocks,
          {plan_.fold.sums, plan_.fold.first, plan_.units, plan_.unit_squares, plan_.unit_factors, settings_.limit,
           request.scaling, request.loss_scale, request.divisor},
          stream);
    fold(plan_.unit_fold.blocks, {plan_.unit_fold.tiles, plan_.unit_squares, plan_.unit_fold.sums}, stream);
}

void Engine::decide_step(const StepRequest& request, Outcome* outcome, const std::int32_t* ticks, bool follows) const {
    const FoldPlan<norm::Squares>& sums = settings_.clip == Clip::units ? plan_.unit_fold : plan_.fold;
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
    a.look.divisor = request.divisor;
    a.look.scaling = request.scaling;
    a.look.tensor_factors = plan_.tensor_factors;
    a.look.culprits = plan_.culprits;
    if (by_blocks) {
        look(plan_.look_blocks, a.look, request.stream);
        fold(plan_.total_fold.blocks, {plan_.total_fold.tiles, plan_.totals, plan_.total_fold.sums}, request.stream);
    }
    a.measures = measures_;
    a.check = request.check;
    a.spikes = request.spikes;
    a.sums = by_blocks ? plan_.total_fold.sums : plan_.totals;
    a.count = static_cast<std::int32_t>(by_blocks ? plan_.total_fold.blocks : a.look.count);
    a.levels = measures_ ? levels_of(a.count) : 0;
    a.culprits = static_cast<std::int32_t>(by_blocks ? plan_.look_blocks : 0);
    a.outcome = outcome;
    a.control = state_->control;
    a.clocks = state_->clocks;
    a.ticks = ticks;
    a.clock_count = ticks ? static_cast<std::int32_t>(clocks_.size()) : 0;
    a.groups = state_->groups;
    a.constants = state_->constants;
    a.powers = state_->powers;
    a.course = state_->course;
    a.tensors = plan_.tensors;
    a.shared = state_->numbers->of;
    a.facts = request.observation ? request.observation->facts() : nullptr;
    a.follows = follows && ticks;
    a.decides = true;
    for (const auto& [rule, type] : plan_.kinds) {
        decide_launch(type, rule)(1, a, request.stream);
        a.decides = a.measures = a.follows = false;
        a.levels = 0;
    }
}

StepArguments Engine::arguments_of(const StepRequest& request, const void* const* grads, bool hosted) const {
    StepArguments a{};
    a.tensors = plan_.tensors;
    a.grads = grads;
    a.tensor_factors = plan_.tensor_factors;
    a.limit = settings_.clip == Clip::value ? settings_.limit : Treatment::no_limit;
    a.by_units = settings_.clip == Clip::units;
    a.seed = settings_.seed;
    if (hosted) {
        a.scale = Scale(1) / (Scale(request.loss_scale) * request.divisor);
    } else {
        a.constants = state_->constants;
        a.control = state_->control;
    }
    return a;
}

void Engine::update(const StepRequest& request, const StepArguments& step, bool hosted) {
    UpdateArguments a{step, nullptr, request.observation ? request.observation->computed() : nullptr, {}};
    if (hosted) prepare(a.hosted);
    for (const UpdatePart& part : plan_.updates) {
        a.tiles = part.tiles;
        update_launches(part.type, part.dense)[part.rule](part.blocks, a, request.stream);
    }
    if (hosted) count_step();
}

/// The constants of the next step.
void Engine::prepare(HostedConstants (&constants)[few_clocks]) const {
    for (std::size_t i = 0; i < clocks_.size(); ++i) {
        if (!ticks_[i]) continue;
        const Clock& clock = clocks_[i];
        const Group& group = groups_[static_cast<std::size_t>(clock.group)];
        constants[i].grad_scale = group.grad_scale;
        constants[i].count = clock.step + 1;
        rule::Context context;
        context.t = clock.step + 1;
        context.begins = !clock.has_begun;
        all_rules()[rule_of_tick(ticks_[i])].prepare(group.hyper, context, clock.dtype, constants[i].step.bytes);
    }
}

void Engine::count_step() {
    for (std::size_t i = 0; i < clocks_.size(); ++i) {
        if (!ticks_[i]) continue;
        Clock& clock = clocks_[i];
        ++clock.step;
        clock.has_begun |= all_rules()[rule_of_tick(ticks_[i])].begins;
    }
    ++course_.completed;
    counts_ = Counts::host;
}

Control Engine::control() const {
    Control control;
    const DeviceScope scope(device_);
    copy_to_host(&control, state_->control, sizeof control, sequence_->latest());
    return control;
}

}  // namespace adamcore::cuda

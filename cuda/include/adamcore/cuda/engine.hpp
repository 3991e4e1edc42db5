#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "adamcore/cuda/averages/followers.hpp"
#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/plan.hpp"
#include "adamcore/cuda/runtime.hpp"
#include "adamcore/cuda/sequence.hpp"
#include "adamcore/optimizer/clip.hpp"
#include "adamcore/passes/leaves.hpp"
#include "adamcore/rule_info.hpp"

namespace adamcore::cuda {

class Observation;
struct StepArguments;
struct LineArguments;
struct ObserveArguments;
struct ObservedWalks;

/// The settings of a whole engine.
struct Settings {
    Clip clip = Clip::none;
    double limit = 0;
    std::uint64_t seed = 0;
    /// The stream for all of the engine's work, if there is only one.
    std::optional<Stream> stream{};
};

/// The arguments of one step.
struct StepRequest {
    Stream stream = 0;
    /// The streams that have written gradients, or will overwrite them.
    std::vector<Stream> others{};
    double loss_scale = 1;
    LossScaling* scaling = nullptr;              ///< on the device; instead of loss_scale
    Scale divisor{};                             ///< of accumulated gradients, in addition to the loss scale
    bool check = false;                          ///< whether a gradient that is not finite stops the step
    SpikeLimit spikes{};                         ///< of the gradients' norm, with Clip::norm
    std::shared_ptr<Observation> observation{};  ///< from Engine::observe(), or null; never of a captured step
};

/// The values that hyper-parameters will have in the steps after `begin` completed ones. By default none changes.
struct Forecast {
    std::int64_t begin = 0;
    std::int64_t count = std::numeric_limits<std::int64_t>::max();
    std::vector<double> values{};  ///< rows of `count` numbers
    std::vector<ScheduledField> fields{};

    bool is_none() const { return count == std::numeric_limits<std::int64_t>::max(); }
};

/// The result of a step in device memory. It is available when the step is done, and after each replay of a captured
/// step.
class Report {
public:
    Report(std::shared_ptr<void> owner, int device, Outcome* outcome, std::shared_ptr<const Sequence> steps,
           bool is_captured)
        : owner_(std::move(owner)),
          device_(device),
          outcome_(outcome),
          steps_(std::move(steps)),
          is_captured_(is_captured) {}

    /// Waits for the engine's latest step.
    Outcome read() const;
    Outcome* on_device() const { return outcome_; }
    /// Whether replays write their results here again.
    bool is_captured() const { return is_captured_; }

private:
    std::shared_ptr<void> owner_;
    int device_;
    Outcome* outcome_;
    std::shared_ptr<const Sequence> steps_;
    bool is_captured_;
};

/// Updates a model's tensors on one device. Work is queued, and nothing waits for it. Steps, replays of captured steps
/// and upload() run one after the other, whatever streams they are queued on.
///
/// Not thread-safe. Arrays belong to the caller, and must stay alive until the queued work is done, as memory of CuPy's
/// and PyTorch's pools does.
class Engine {
public:
    Engine(int device, const Settings& settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Reserves space for more groups and tensors, so that add_group() and add() cannot fail. Raises Error.
    void make_room(std::size_t groups, std::size_t tensors);
    void add_group(const Group& group);
    /// Takes effect in the next step. If the rule changes, set_state() must bring the state of the new one before that
    /// step. After a step has been captured, a change of the rule raises Error.
    void set_group(std::size_t index, const Group& group);
    /// Raises Error if a step has been captured into a CUDA graph: the graph uses the rules and state of then.
    void require_free_rules() const;
    /// Sets the hyper-parameters that change from step to step in captured steps. A replay after `count` steps uses the
    /// last values again. Takes effect with the next upload() or captured step. Other steps use the groups' values.
    void set_forecast(Forecast forecast);
    const Forecast& forecast() const { return forecast_; }

    /// `entry.tensor.step` is the number of completed updates.
    void add(const Entry& entry);
    /// Sets the state arrays of a tensor, in the order of its rule's slots.
    void set_state(std::size_t i, void* const (&state)[max_slots]) noexcept;
    const Entry& entry(std::size_t i) const { return entries_[i]; }
    /// Sets another array of the same kind, or null for none.
    void set_grad(std::size_t i, const void* grad);
    /// Sets a gradient of another dtype or layout.
    void set_kind(std::size_t i, const Entry& entry);

    /// Whether work that is queued on a stream becomes part of a CUDA graph. Raises Error if the stream must not be
    /// used.
    bool is_captured(Stream stream) const {
        const DeviceScope scope(device_);
        return is_capturing(stream);
    }
    /// Whether a step has been captured into a CUDA graph.
    bool has_captured() const { return !captured_.empty(); }

    /// Queues one update of all tensors that have a gradient. Returns the position of its report if gradients are
    /// measured. Raises Error.
    std::optional<Report> step(const StepRequest& request);
    /// Reserves the memory that the step will need, unless it is captured. Raises Error.
    void prepare(const StepRequest& request);
    /// Sets the averages of weights that follow all steps from now on.
    void set_averages(std::vector<FollowedAverage> averages) noexcept { followers_.set(std::move(averages)); }
    /// How far they have come. Waits for the latest step.
    std::vector<WeightAverage::Progress> averages() const;
    /// Sets this, also for captured steps.
    void set_progress(const std::vector<WeightAverage::Progress>& progress);
    /// Prepares statistics of the next step: these parts (statistics::Part) of all tensors, which are walked so. Raises Error.
    std::shared_ptr<Observation> observe(const std::vector<ObservedWalks>& walks, unsigned parts, Stream stream);
    /// Queues only the measuring of gradients.
    Report measure(const StepRequest& request);
    /// The factor by which gradients were multiplied in the latest step. Waits for it.
    Control control() const;
    /// Copies hyper-parameters, the forecast and step counts to the device, for steps that have been captured.
    void upload(Stream stream);
    /// Makes work that is queued on `stream` from now on come after all steps so far, and later steps after that work.
    void order(Stream stream);
    /// The sequence of steps, replays and upload().
    const std::shared_ptr<Sequence>& sequence() const { return sequence_; }

    /// The numbers of updates of all tensors. Waits for the latest step if only the device knows them.
    std::vector<std::int64_t> steps() const;
    std::int64_t steps(std::size_t i) const;
    /// The number of steps that were not skipped. Waits in the same way.
    std::int64_t completed() const;
    /// The number of replays that came after the last value of their forecast, of those that completed() has counted.
    std::int64_t overruns() const { return course_.overruns; }
    /// The same as steps(), and whether state has begun.
    std::vector<Progress> progress() const;
    /// Raises Error unless the tensors can have come this far.
    void require_countable(const std::vector<Progress>& progress) const;
    /// Sets both kinds of counts. The tensors' must have passed require_countable().
    void set_counts(const std::vector<Progress>& progress, std::int64_t completed);
    /// The optimizer's numbers, in the order of the rule's `numbers`; none if no rule has any. Waits like steps().
    std::vector<double> numbers() const;
    /// Sets them. They begin as the first group with such a rule has them.
    void set_numbers(const std::vector<double>& numbers);
    /// Sets the counts, the numbers and the forecast of an engine that had the same tensors in other arrays.
    void continue_from(const Engine& other);

private:
    struct State;
    class Reports;

    /// Who computes a step's constants.
    enum class Preparation : std::uint8_t { host, device, replays };

    void make_ready(const StepRequest& request, bool updates, bool capturing);
    void require_open() const;
    void require_settled() const;
    void count_anew();
    bool settle(Stream stream);
    template <class Copy>
    void bring_table(const Copy& copy);
    template <class Copy>
    void bring(const Copy& copy);
    void send(Stream stream);
    void make_clocks();
    void keep_clocks();
    void split_clocks(Stream stream);
    void make_tables(Stream stream);
    std::vector<std::byte> turn() const;
    const std::byte* turn_for(Stream stream, bool capturing);
    void bring_for_capture();
    std::vector<Stream> joined(const StepRequest& request, bool capturing) const;
    bool is_hosted(const StepRequest& request) const;
    void load_kernels(bool updates) const;
    void measure_gradients(const StepRequest& request, const void* const* grads) const;
    void decide_step(const StepRequest& request, Outcome* outcome, const std::int32_t* ticks, bool follows) const;
    void observe_early(const StepRequest& request, const void* const* grads) const;
    void observe_late(const StepRequest& request, const void* const* grads) const;
    ObserveArguments observed_by(const StepRequest& request, const void* const* grads) const;
    StepArguments arguments_of(const StepRequest& request, const void* const* grads, bool hosted) const;
    void run_passes(const StepArguments& step, Stream stream) const;
    void visit(const PassPlan& pass, std::size_t index, const StepArguments& step, Stream stream) const;
    void conclude(const PassPlan& pass, std::size_t index, Stream stream) const;
    LineArguments line_arguments(const PassPlan& pass) const;
    void conclude_lines(const PassPlan& pass, std::size_t index, Stream stream) const;
    void update(const StepRequest& request, const StepArguments& step, bool hosted);
    void prepare(HostedConstants (&constants)[few_clocks]) const;
    void count_step();
    const RuleInfo* rule_with_numbers() const;
    void begin_numbers(const Group& group);
    void load_passes() const;
    void queue_step(const StepRequest& request, bool updates, Preparation by, const std::byte* turn, Outcome* outcome);
    std::optional<Report> run(const StepRequest& request, bool updates);
    void fetch_counts() const;

    int device_;
    Settings settings_;
    std::vector<Group> groups_;
    std::vector<Entry> entries_;

    static constexpr ScheduleTable no_schedules{nullptr, nullptr, 0, std::numeric_limits<std::int64_t>::max(), 0};

    /// Who knows the step counts and the optimizer's numbers.
    enum class Counts : std::uint8_t { host, device, both };

    // What the host knows of the counts. Const functions may fetch them from the device.
    mutable std::vector<Clock> clocks_;
    mutable Course course_{0, 0, no_schedules, 0};
    mutable Numbers numbers_{};
    mutable Counts counts_ = Counts::host;
    std::vector<std::int32_t> ticks_;  ///< by clock: its rule + 1, or 0 if its tensors have no gradients
    std::vector<Progress> to_count_;   ///< by tensor, to be made clocks; empty unless counts have been set

    Followers followers_;
    std::shared_ptr<State> state_;
    std::shared_ptr<Block> plan_block_;
    Plan plan_;
    bool planned_ = false, measures_ = false;
    bool kinds_changed_ = false;  ///< the set of gradients or their kinds
    bool grads_changed_ = true;   ///< the addresses of gradients
    bool groups_changed_ = true;

    Forecast forecast_;
    bool forecast_changed_ = false;  ///< against the table on the device

    std::shared_ptr<Reports> reports_;
    std::shared_ptr<Pool> observations_;
    std::vector<std::shared_ptr<void>> captured_;  ///< what captured steps refer to
    std::shared_ptr<Sequence> sequence_;
};

/// An array without an optimizer, and how it is walked.
struct Rescaled {
    void* data;
    Dtype dtype;
    std::int64_t size;
    Axes axes;
};
/// Multiplies arrays in place by `factor` and clips them to [-limit, limit].
void rescale_arrays(int device, const std::vector<Rescaled>& arrays, Scale factor, double limit, Stream stream);

/// State arrays that are multiplied by a factor. If they are averages of squares, none of these becomes 0.
struct RescaledState {
    std::vector<Rescaled> arrays;
    Scale factor;
    bool are_squares;
};
/// Multiplies all of them or, if memory is missing, none.
void rescale_state(int device, const std::vector<RescaledState>& states, Stream stream);

/// Runs a pass over weights, one of weight_pass::All, for tensors from weights_of(). `shares` are by group.
void run_weight_pass(int device, std::size_t pass, const std::vector<Tensor>& tensors,
                     const std::vector<double>& shares, std::uint64_t seed, Stream stream);

/// A pass over sums of gradients: tensors whose parameter is the sum.
struct LeafPass {
    leaf::Pass pass;
    leaf::Weights weights;
    std::vector<Tensor> tensors;
};
/// Runs these passes one after the other or, if memory is missing, none of them.
void add_leaf(int device, const std::vector<LeafPass>& passes, Stream stream);

/// Writes the initial state of new tensors, slot by slot, and what is stored beside their weights.
void start_state(int device, const std::vector<Tensor>& tensors, const std::vector<Initial>& slots, Stream stream);

}  // namespace adamcore::cuda

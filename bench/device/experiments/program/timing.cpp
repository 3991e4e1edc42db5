#include "program/timing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>

#include "program/check.hpp"
#include "program/steps.hpp"

namespace adamcore::experiments {
namespace {

constexpr int rounds = 7, most_steps = 200, fewest_steps = 3;
constexpr double longest_delay = 0.05;

double seconds_between(Clockwork::time_point from, Clockwork::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

/// What takes turns.
struct Runner {
    std::string name;
    /// Queues a step on a set. `round` says how often the sets have taken turns since prepare().
    std::function<void(std::int64_t set, std::int64_t round)> step;
    std::function<void()> prepare;
    std::int64_t sets = 1;
    std::int64_t uses = 0;
    double host_seconds = 0;  ///< to queue a step

    /// Returns how long the host took.
    double queue(int steps) {
        const Clockwork::time_point start = Clockwork::now();
        for (int k = 0; k < steps; ++k) step(uses++ % sets, k / sets);
        const double seconds = seconds_between(start, Clockwork::now());
        host_seconds = host_seconds == 0 ? seconds / steps : (host_seconds + seconds / steps) / 2;
        return seconds;
    }

    /// Loads kernels and finds how long the host takes.
    void warm_up() {
        prepare();
        queue(1);
        wait_for_device("the first step of " + name);
        host_seconds = 0;
        queue(3);
        wait_for_device("a step of " + name);
    }

    /// Seconds of a step. Where the host was held up and the device may have waited for it, once or twice again.
    double sample(int steps) {
        for (int attempt = 0;; ++attempt) {
            prepare();
            const double delay = std::min(1.5 * host_seconds * steps + 50e-6, longest_delay);
            const DelayArguments arguments{static_cast<std::uint64_t>(delay * 1e9)};
            launch(delay_kernel(), 1, &arguments);
            Event start, stop;
            start.record();
            const double queued = queue(steps);
            stop.record();
            stop.wait();
            if (queued < delay || attempt == 2) return stop.seconds_since(start) / steps;
        }
    }
};

/// Drops a runner that fails. A device that has failed for good fails the next one too, and the base is not dropped.
template <class F>
bool holds(Timings& timings, Runner& runner, bool is_base, F&& f) {
    try {
        f();
        return true;
    } catch (const std::exception& error) {
        if (is_base) throw;
        timings.failures[runner.name] = error.what();
        timings.seconds.erase(runner.name);
        return false;
    }
}

void take_turns(std::vector<Runner>& runners, Timings& timings, Clockwork::time_point end) {
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::size_t> order;
        for (std::size_t i = 0; i < runners.size(); ++i)
            order.push_back((i + 3 * static_cast<std::size_t>(round)) % runners.size());
        if (round % 2 != 0) std::reverse(order.begin(), order.end());
        std::vector<std::string> dropped;
        for (const std::size_t i : order) {
            if (round > 0 && Clockwork::now() >= end) return;
            Runner& runner = runners[i];
            const auto sample = [&] { timings.seconds[runner.name].push_back(runner.sample(timings.steps)); };
            if (!holds(timings, runner, i == 0, sample)) dropped.push_back(runner.name);
        }
        for (const std::string& name : dropped)
            runners.erase(
                std::find_if(runners.begin(), runners.end(), [&](const Runner& r) { return r.name == name; }));
    }
}

}  // namespace

const Problem& Timer::problem_of(const Trial& trial) {
    if (!problem_ || !(problem_->request() == trial.problem)) {
        problem_.reset();
        source_ = Buffer();
        target_ = Buffer();
        problem_ = std::make_unique<Problem>(trial.problem);
    }
    const double half = trial.step_bytes / 2 * static_cast<double>(trial.problem.elements());
    const std::size_t bytes =
        (static_cast<std::size_t>(half) / 16 + 1) * 16 * static_cast<std::size_t>(trial.problem.sets);
    for (Buffer* buffer : {&source_, &target_}) {
        if (buffer->size() == bytes) continue;
        *buffer = Buffer();
        *buffer = Buffer(On::device, bytes);
        const FillArguments arguments{
            buffer->data(), static_cast<std::int64_t>(bytes / 4), Dtype::float32, Filling::params, 1, 7};
        launch(fill_kernel(), (arguments.count + Fill::per_block - 1) / Fill::per_block, &arguments);
    }
    problem_->set_step(trial.step);
    wait_for_device("filling arrays");
    return *problem_;
}

Timings Timer::measure(const Trial& trial, Clockwork::time_point end) {
    const Problem& problem = problem_of(trial);
    const std::int64_t sets = trial.problem.sets;
    const std::size_t copied = source_.size() / static_cast<std::size_t>(sets);
    Timings timings;
    std::vector<Runner> runners;
    for (const Variant& variant : trial.variants) {
        if (!is_available(variant, device_)) {
            timings.failures[variant.name] = "not on this device";
            continue;
        }
        const auto step = [&](std::int64_t set, std::int64_t round) {
            queue_step(variant, problem, set, trial.step_after(round));
        };
        const auto prepare = [&] {
            if (variant.decide.function) problem.queue_clocks(trial.step);
        };
        runners.push_back({variant.name, step, prepare, sets});
    }
    const auto memcpy_step = [&](std::int64_t set, std::int64_t) {
        const std::size_t place = copied * static_cast<std::size_t>(set);
        must(cudaMemcpyAsync(target_.data() + place, source_.data() + place, copied, cudaMemcpyDeviceToDevice,
                             work_stream()),
             "cudaMemcpyAsync");
    };
    const auto kernel_step = [&](std::int64_t set, std::int64_t) {
        const std::size_t place = copied * static_cast<std::size_t>(set);
        const CopyArguments arguments{source_.data() + place, target_.data() + place,
                                      static_cast<std::int64_t>(copied / 16)};
        launch(copy_kernel(), (arguments.vectors + Copy::per_block - 1) / Copy::per_block, &arguments);
    };
    runners.push_back({"memcpy", memcpy_step, [] {}, sets});
    runners.push_back({"copy kernel", kernel_step, [] {}, sets});
    std::vector<Runner> warm;
    for (std::size_t i = 0; i < runners.size(); ++i) {
        if (holds(timings, runners[i], i == 0, [&] { runners[i].warm_up(); })) warm.push_back(std::move(runners[i]));
    }
    timings.steps = fewest_steps;
    const double step = std::max(1e-7, std::min(warm[0].sample(fewest_steps), warm[0].sample(fewest_steps)));
    const double left = 0.85 * seconds_between(Clockwork::now(), end);
    const double steps = left / (rounds * static_cast<double>(warm.size())) / (1.3 * step);
    timings.steps = static_cast<int>(std::clamp(steps, double{fewest_steps}, double{most_steps}));
    take_turns(warm, timings, end);
    return timings;
}

}  // namespace adamcore::experiments

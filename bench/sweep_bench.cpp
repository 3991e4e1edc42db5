/// Every rule's update against a stream with the same traffic, on each instruction set and 1 and 2 threads.
///
///     cmake --preset dev && cmake --build --preset dev && build/dev/bench/sweep_bench
///     build/dev/bench/sweep_bench --benchmark_filter=adamw/float32/avx512
///
/// An update and the stream take turns over the same arrays, and `of_stream` is the median of stream time / update
/// time: 1 is the speed of memory. Absolute times move from machine to machine and with what else it does.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "arena.hpp"
#include "stream.hpp"
#include "timing.hpp"

namespace adamcore::bench {
namespace {

struct Problem {
    std::size_t rule;
    Dtype dtype;
    const cpu::Kernels* kernels;
    int threads;
    std::int64_t size;

    const RuleInfo& info() const { return cpu::all_rules()[rule]; }
    std::size_t bytes() const { return static_cast<std::size_t>(size) * size_of(dtype); }

    std::string name() const {
        return std::string(info().name) + "/" + name_of(dtype) + "/" + name_of(kernels->isa) +
               "/threads:" + std::to_string(threads) + "/" + std::to_string(size);
    }
};

/// One parameter of the problem's size, its plan, and the two things that are timed.
class Update {
public:
    Update(const Problem& problem, const Arena& arena) : problem_(problem), pool_{problem.threads} {
        for (std::size_t k = 0; k < 2 + problem.info().slot_count; ++k) {
            void* array = arena.array(k, problem.bytes());
            visit(problem.dtype,
                  [&](auto x) { fill(static_cast<decltype(x)*>(array), problem.size, k == 0 ? 1 : 1e-2, k < 2); });
            void*& place = k == 0 ? tensor_.param : k == 1 ? grad_ : tensor_.state[k - 2];
            place = array;
        }
        tensor_.grad = grad_;
        tensor_.size = problem.size;
        tensor_.step = 100;
        tensor_.dtype = tensor_.grad_dtype = tensor_.state_dtype = problem.dtype;
        group_.rule = problem.rule;
        for (std::size_t i = 0; i < problem.info().field_count; ++i) group_.hyper[i] = problem.info().fields[i].preset;
        parts_ = cpu::plan_step(&tensor_, 1, problem.threads, cuts_);
    }

    void step() const { cpu::step(*problem_.kernels, &group_, &tensor_, cuts_, parts_, pool_); }

    /// The stream over the same pieces on the same threads.
    void stream(bool add) const {
        pool_.run(parts_, [&](int part) noexcept {
            plan::for_each_piece([&](std::int64_t) { return tensor_.size; }, cuts_[part], cuts_[part + 1],
                                 [&](std::int64_t, std::int64_t begin, std::int64_t end) { stream(add, begin, end); });
        });
    }

    double bytes() const { return static_cast<double>((3 + 2 * problem_.info().slot_count) * problem_.bytes()); }

private:
    /// The stream over as many arrays as the rule has slots.
    template <std::size_t Slots = 0>
    void stream(bool add, std::int64_t begin, std::int64_t end) const noexcept {
        if constexpr (Slots < max_slots) {
            if (problem_.info().slot_count != Slots) return stream<Slots + 1>(add, begin, end);
        }
        stream(add, begin, end, std::make_index_sequence<Slots>());
    }

    template <std::size_t... Slot>
    void stream(bool add, std::int64_t begin, std::int64_t end, std::index_sequence<Slot...>) const noexcept {
        const auto words = static_cast<std::int64_t>(size_of(problem_.dtype) / sizeof(Word));
        const auto at = [&](void* array) { return static_cast<Word*>(array) + begin * words; };
        bench::stream(add, (end - begin) * words, at(grad_), at(tensor_.param), at(tensor_.state[Slot])...);
    }

    Problem problem_;
    cpu::Threads pool_;
    void* grad_ = nullptr;
    Tensor tensor_;
    cpu::Group group_;
    plan::Cut cuts_[cpu::max_parts + 1];
    int parts_ = 1;
};

/// An even number of calls that a clock can time.
int repeats_for(const Problem& problem) {
    return static_cast<int>(std::max<std::int64_t>(2, (1 << 18) / problem.size / 2 * 2));
}

/// Enough samples for a median, in about a tenth of a second where the size allows.
int samples_for(const Problem& problem) {
    const double sample = 0.3e-9 * static_cast<double>(repeats_for(problem)) * static_cast<double>(problem.bytes());
    return static_cast<int>(std::clamp(0.1 / sample, 11.0, 101.0));
}

void measure(benchmark::State& state, const Problem& problem, const Arena& arena) {
    const Update update(problem, arena);
    const int repeats = repeats_for(problem);
    std::vector<double> step_times, shares;
    for (auto _ : state) {
        const double step_time = time_of(repeats, [&](int) { update.step(); });
        const double stream_time = time_of(repeats, [&](int i) { update.stream(i % 2 == 0); });
        step_times.push_back(step_time);
        shares.push_back(stream_time / step_time);
        state.SetIterationTime(step_time);
    }
    const double typical = median(step_times);
    state.counters["ns/element"] = typical * 1e9 / static_cast<double>(problem.size);
    state.counters["GB/s"] = update.bytes() / typical * 1e-9;
    state.counters["of_stream"] = median(shares);
}

/// AdamW in float32 from cache to memory; the other rules at a size for each.
std::vector<std::int64_t> sizes_for(const RuleInfo& info, Dtype dtype) {
    if (info.name == AdamW::name && dtype == Dtype::float32) return {1000, 10000, 100000, 1000000, 10000000, 64000000};
    return {1000, 100000, 1000000, 10000000};
}

std::int64_t work_of(std::size_t rule, Dtype dtype, std::int64_t size) {
    Tensor tensor;
    tensor.grad = &tensor;
    tensor.size = size;
    tensor.dtype = tensor.grad_dtype = tensor.state_dtype = dtype;
    for (std::size_t slot = 0; slot < cpu::all_rules()[rule].slot_count; ++slot) tensor.state[slot] = &tensor;
    return cpu::work_of(tensor);
}

std::vector<Problem> all_problems() {
    std::vector<Problem> problems;
    for (std::size_t rule = 0; rule < cpu::all_rules().size(); ++rule) {
        for (const Dtype dtype : {Dtype::float32, Dtype::float64}) {
            for (const cpu::Isa isa : cpu::all_isas) {
                const cpu::Kernels* kernels = cpu::kernels_for(isa);
                if (!kernels) continue;
                for (const std::int64_t size : sizes_for(cpu::all_rules()[rule], dtype)) {
                    problems.push_back({rule, dtype, kernels, 1, size});
                    // A second thread where the engine would use one.
                    if (cpu::parts_for(work_of(rule, dtype, size), 2) > 1)
                        problems.push_back({rule, dtype, kernels, 2, size});
                }
            }
        }
    }
    return problems;
}

void register_all(const std::vector<Problem>& problems, const Arena& arena) {
    for (const Problem& problem : problems) {
        benchmark::RegisterBenchmark(problem.name().c_str(), measure, problem, std::cref(arena))
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond)
            ->Iterations(samples_for(problem));
    }
}

}  // namespace
}  // namespace adamcore::bench

int main(int argc, char** argv) {
    using namespace adamcore::bench;
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    const auto problems = all_problems();
    std::size_t largest = 0;
    for (const auto& problem : problems) largest = std::max(largest, problem.bytes());
    const Arena arena(largest);
    register_all(problems, arena);
    benchmark::AddCustomContext("one alone", "sweep_bench --benchmark_filter=adamw/float32/avx512");
    benchmark::RunSpecifiedBenchmarks();
}

/// AdamW's update with every kind of storage, and the norm, against streams that move the same bytes.
///
///     cmake --preset dev && cmake --build --preset dev && build/dev/bench/storage_bench
///     build/dev/bench/storage_bench --benchmark_filter='bfloat16.*avx512/threads:2/64000000'
///
/// A name reads parameter, gradient, state and what is kept of weights. Half-precision state is rounded at random
/// unless it says nearest. `of_stream` is the median of stream time / update time, the two taking turns over the same
/// arrays; the stream adds a number to every word of what is written in place, and reads the gradient.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "arena.hpp"
#include "stream.hpp"
#include "timing.hpp"

namespace adamcore::bench {
namespace {

struct Storage {
    Dtype param, grad, state;
    WeightPolicy weights;
    StateRounding state_rounding = StateRounding::stochastic;  // as optimizers have it

    std::string name() const {
        constexpr const char* names[] = {"plain", "master", "remainder", "compensated", "stochastic"};
        return std::string(name_of(param)) + "/" + name_of(grad) + "/" + name_of(state) +
               (state_rounding == StateRounding::nearest ? " to nearest/" : "/") +
               names[static_cast<std::size_t>(weights)];
    }
};

/// A measurement's arrays, the one that is only read first.
struct Traffic {
    struct Array {
        Word* words;
        std::int64_t count;
    };
    Array read;
    std::vector<Array> written;

    double bytes() const {
        double total = static_cast<double>(read.count);
        for (const Array& array : written) total += 2 * static_cast<double>(array.count);
        return 4 * total;
    }
};

std::uint32_t read_block(const Word* words, std::int64_t count) {
    std::uint32_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum ^= words[i];
    return sum;
}

void write_block(Word* words, std::int64_t count, std::uint32_t more) {
    for (std::int64_t i = 0; i < count; ++i) words[i] += more;
}

/// Streams over part `part` of `parts` of all arrays, in blocks that lie in cache together, as an update goes.
void stream_part(const Traffic& traffic, int part, int parts, bool add) {
    const auto at = [&](std::int64_t count, std::int64_t block, std::int64_t blocks) {
        return count / 64 * block / blocks * 64;
    };
    std::int64_t most = traffic.read.count;
    for (const auto& array : traffic.written) most = std::max(most, array.count);
    const std::int64_t blocks = std::max<std::int64_t>(parts, most / 1024 / parts * parts);
    for (std::int64_t block = blocks / parts * part; block < blocks / parts * (part + 1); ++block) {
        const auto each = [&](const Traffic::Array& array, auto&& f) {
            const std::int64_t begin = at(array.count, block, blocks);
            f(array.words + begin, at(array.count, block + 1, blocks) - begin);
        };
        each(traffic.read, [](const Word* words, std::int64_t n) { benchmark::DoNotOptimize(read_block(words, n)); });
        for (const auto& array : traffic.written)
            each(array, [&](Word* words, std::int64_t n) { write_block(words, n, add ? 1u : ~0u); });
    }
}

struct Problem {
    Storage storage;
    const cpu::Kernels* kernels;
    int threads;
    std::int64_t size;
    bool is_norm = false;

    std::string name() const {
        const std::string what = is_norm ? "norm/" + std::string(name_of(storage.grad)) : "adamw/" + storage.name();
        return what + "/" + name_of(kernels->isa) + "/threads:" + std::to_string(threads) + "/" + std::to_string(size);
    }
    int parts() const { return threads == 1 ? 1 : cpu::parts_per_thread * threads; }
};

/// One parameter with the problem's storage, or one gradient, and its traffic.
class Arrays {
public:
    Arrays(const Problem& problem, const Arena& arena) : problem_(problem), arena_(arena) {
        tensor_.size = problem.size;
        tensor_.step = 100;
        tensor_.dtype = problem.storage.param;
        tensor_.grad_dtype = problem.storage.grad;
        tensor_.state_dtype = problem.storage.state;
        tensor_.weights = problem.storage.weights;
        tensor_.state_rounding = problem.storage.state_rounding;
        void* grad = add(size_of(problem.storage.grad) * 8);
        fill_with(problem.storage.grad, grad, 1e-2, true);
        tensor_.grad = grad;
        traffic_.read = {static_cast<Word*>(grad), words(size_of(problem.storage.grad) * 8)};
        reading_ = {grad, problem.size, problem.storage.grad, {}};
        if (problem.is_norm) return;
        tensor_.param = add_written(size_of(problem.storage.param) * 8);
        fill_with(problem.storage.param, tensor_.param, 1, true);
        for (std::size_t slot = 0; slot < 2; ++slot) {
            tensor_.state[slot] = add_written(size_of(problem.storage.state) * 8);
            fill_with(problem.storage.state, tensor_.state[slot], 1e-2, slot == 0);
        }
        for (std::size_t i = 0; i < 2; ++i) {
            const std::size_t bits = extra_bits(problem.storage.weights)[i];
            if (bits == 0) continue;
            tensor_.extra[i] = add_written(bits);
            std::memset(tensor_.extra[i], 0, static_cast<std::size_t>(problem.size) * bits / 8);
        }
        if (problem.storage.weights == WeightPolicy::master) {
            visit(problem.storage.param, [&](auto x) {
                const auto* from = static_cast<const decltype(x)*>(tensor_.param);
                auto* to = static_cast<float*>(tensor_.extra[0]);
                for (std::int64_t i = 0; i < problem.size; ++i) to[i] = static_cast<float>(storage::decode(from[i]));
            });
        }
    }

    const Traffic& traffic() const { return traffic_; }
    Tensor& tensor() { return tensor_; }
    const norm::Reading& reading() const { return reading_; }

private:
    std::int64_t words(std::size_t bits) const { return problem_.size * static_cast<std::int64_t>(bits) / 32; }

    void* add(std::size_t bits) {
        const std::size_t bytes = (static_cast<std::size_t>(problem_.size) * bits / 8 + 4095) / 4096 * 4096 + 256;
        void* array = arena_.at(used_);
        used_ += bytes;
        return array;
    }
    void* add_written(std::size_t bits) {
        void* array = add(bits);
        traffic_.written.push_back({static_cast<Word*>(array), words(bits)});
        return array;
    }
    void fill_with(Dtype dtype, void* array, double scale, bool is_signed) const {
        visit(dtype, [&](auto x) { fill(static_cast<decltype(x)*>(array), problem_.size, scale, is_signed); });
    }

    Problem problem_;
    const Arena& arena_;
    std::size_t used_ = 0;
    Tensor tensor_;
    norm::Reading reading_;
    Traffic traffic_;
};

/// Calls `f(run)` with what is timed.
void measure(benchmark::State& state, const Problem& problem, const Arena& arena) {
    Arrays arrays(problem, arena);
    const cpu::Threads pool{problem.threads};
    const Traffic& traffic = arrays.traffic();
    plan::Cut cuts[cpu::max_parts + 1];
    cpu::Group group;
    for (std::size_t rule = 0; rule < cpu::all_rules().size(); ++rule) {
        if (cpu::all_rules()[rule].name == AdamW::name) group.rule = rule;
    }
    const RuleInfo& info = cpu::all_rules()[group.rule];
    for (std::size_t i = 0; i < info.field_count; ++i) group.hyper[i] = info.fields[i].preset;
    std::int64_t first_leaf[2];
    const int parts = problem.is_norm ? cpu::plan_norm(&arrays.reading(), 1, problem.threads, cuts, first_leaf)
                                      : cpu::plan_step(&arrays.tensor(), 1, problem.threads, cuts);
    std::vector<norm::Squares> leaves(static_cast<std::size_t>(sums::leaves_of(problem.size)));
    const auto run = [&] {
        if (problem.is_norm) {
            cpu::measure(*problem.kernels, &arrays.reading(), cuts, parts, pool, first_leaf, leaves.data());
        } else {
            ++arrays.tensor().step;
            cpu::step(*problem.kernels, &group, &arrays.tensor(), cuts, parts, pool);
        }
    };
    const auto stream = [&](bool add) {
        pool.run(problem.parts(), [&](int part) noexcept { stream_part(traffic, part, problem.parts(), add); });
    };
    std::vector<double> times, shares;
    for (auto _ : state) {
        const double time = time_of(1, [&](int) { run(); });
        const double stream_time = time_of(2, [&](int i) { stream(i == 0); });
        times.push_back(time);
        shares.push_back(stream_time / time);
        state.SetIterationTime(time);
    }
    const auto size = static_cast<double>(problem.size);
    state.counters["bytes/param"] = traffic.bytes() / size;
    state.counters["GB/s"] = traffic.bytes() / median(times) * 1e-9;
    state.counters["of_stream"] = median(shares);
}

std::vector<Storage> all_storage() {
    const Dtype f4 = Dtype::float32, f8 = Dtype::float64, f2 = Dtype::float16, b2 = Dtype::bfloat16;
    std::vector<Storage> all{{f4, f4, f4, WeightPolicy::plain}, {f8, f8, f8, WeightPolicy::plain}};
    for (const Dtype grad : {f2, b2}) all.push_back({f4, grad, f4, WeightPolicy::plain});
    for (const Dtype state : {f2, b2}) {
        all.push_back({f4, f4, state, WeightPolicy::plain});
        all.push_back({f4, f4, state, WeightPolicy::plain, StateRounding::nearest});
    }
    for (const Dtype param : {f2, b2}) {
        for (const WeightPolicy weights : {WeightPolicy::plain, WeightPolicy::master, WeightPolicy::remainder,
                                           WeightPolicy::compensated, WeightPolicy::stochastic}) {
            if (weights == WeightPolicy::remainder && param == f2) continue;
            for (const Dtype grad : {param, f4}) all.push_back({param, grad, f4, weights});
            all.push_back({param, param, param, weights});
        }
    }
    return all;
}

std::vector<Problem> all_problems() {
    std::vector<Problem> problems;
    for (const cpu::Isa isa : cpu::all_isas) {
        const cpu::Kernels* kernels = cpu::kernels_for(isa);
        if (!kernels) continue;
        for (const std::int64_t size : {1000000, 64000000}) {
            for (const int threads : {1, 2}) {
                for (const Storage& storage : all_storage()) problems.push_back({storage, kernels, threads, size});
                for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16})
                    problems.push_back({{dtype, dtype, dtype, WeightPolicy::plain}, kernels, threads, size, true});
            }
        }
    }
    return problems;
}

}  // namespace
}  // namespace adamcore::bench

int main(int argc, char** argv) {
    using namespace adamcore::bench;
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    const auto problems = all_problems();
    const Arena arena(std::size_t{4} * 8 * 64000000 / max_arrays + (1 << 20));
    for (const auto& problem : problems) {
        benchmark::RegisterBenchmark(problem.name().c_str(), measure, problem, std::cref(arena))
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond)
            ->Iterations(problem.size > 10000000 ? 21 : 101);
    }
    benchmark::RunSpecifiedBenchmarks();
}

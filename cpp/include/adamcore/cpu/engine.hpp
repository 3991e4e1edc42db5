#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/parallel.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/tensor.hpp"

/// plan -> pool -> sweep. Nothing here allocates, throws or keeps state.
namespace adamcore::cpu {

/// The most parts that one step is cut into.
inline constexpr int max_parts = 256;

/// Below this many elements a step is done before a thread that sleeps has woken.
inline constexpr std::int64_t least_parallel = 131072;

inline constexpr std::int64_t least_per_part = 16384;

/// More parts than threads, so that a thread that comes late or is held up leaves its parts to others.
inline constexpr int parts_per_thread = 8;

/// How many elements of a tensor an update touches.
inline std::int64_t active_size(const Tensor& tensor) noexcept { return tensor.grad ? tensor.size : 0; }

inline int parts_for(std::int64_t elements, int threads) noexcept {
    if (threads <= 1 || elements < least_parallel) return 1;
    const std::int64_t useful = elements / least_per_part;
    return static_cast<int>(std::min<std::int64_t>({useful, parts_per_thread * std::int64_t{threads}, max_parts}));
}

namespace detail {

/// Computes Step<T>s as tensors ask for them and keeps the latest few: one for each group and count of steps that
/// alternate, without a table and without allocation.
class StepCache {
public:
    /// The constants for `tensor`, computed by `prepare(tensor, storage)` unless at hand.
    template <class Prepare>
    const StepStorage& get(const Tensor& tensor, Prepare&& prepare) {
        const auto key = static_cast<std::uint64_t>(tensor.step) + 3 * static_cast<std::uint64_t>(tensor.group);
        Entry& entry = entries_[key % size];
        if (entry.step != tensor.step || entry.group != tensor.group || entry.dtype != tensor.dtype) {
            prepare(tensor, entry.constants);
            entry.step = tensor.step;
            entry.group = tensor.group;
            entry.dtype = tensor.dtype;
        }
        return entry.constants;
    }

private:
    static constexpr std::size_t size = 8;
    struct Entry {
        std::int64_t step = -1;
        std::int32_t group = -1;
        Dtype dtype = Dtype::float32;
        StepStorage constants;
    };
    Entry entries_[size];
};

/// Runs each part's pieces through a worker of its own, made by `make_worker()`.
template <class Pool, class MakeWorker>
void run(const Tensor* tensors, const plan::Cut* cuts, int parts, const Pool& pool, MakeWorker make_worker) noexcept {
    pool.run(parts, [&](int part) noexcept {
        const FloatEnvironment environment;
        auto worker = make_worker();
        plan::for_each_piece(
            [&](std::int64_t i) { return active_size(tensors[i]); }, cuts[part], cuts[part + 1],
            [&](std::int64_t i, std::int64_t begin, std::int64_t end) { worker(tensors[i], begin, end); });
    });
}

}  // namespace detail

/// Cuts `count` tensors for a pool of `threads`; returns the number of parts, for which `cuts` has max_parts + 1
/// places.
inline int plan_step(const Tensor* tensors, std::int64_t count, int threads, plan::Cut* cuts) noexcept {
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    std::int64_t elements = 0;
    for (std::int64_t i = 0; i < count; ++i) elements += size(i);
    const int parts = parts_for(elements, threads);
    plan::split(size, count, parts, cuts);
    return parts;
}

/// One update by one rule, known at compile time, with the instruction set that the caller compiles for.
///
/// Every tensor's gradient is multiplied by `grad_scale` as it is read (-1 ascends). The bits of the result do not
/// depend on the pool, nor on how tensors are grouped into calls.
template <class Rule, class Pool = Serial>
void step(const Tensor* tensors, std::int64_t count, const typename Rule::Hyper& hyper, const Pool& pool = {},
          double grad_scale = 1.0) noexcept {
    static_assert(rule::is_rule<Rule>());
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    detail::run(tensors, cuts, parts, pool, [&] {
        return [&, cache = detail::StepCache()](const Tensor& tensor, std::int64_t begin, std::int64_t end) mutable {
            visit(tensor.dtype, [&](auto x) {
                using T = decltype(x);
                const auto& constants = cache.get(tensor, [&](const Tensor& t, StepStorage& out) {
                    new (out.bytes) typename Rule::template Step<T>(Rule::template prepare<T>(hyper, t.step));
                });
                sweep<isa::Static, Rule, T>(constants, tensor, begin, end, grad_scale);
            });
        };
    });
}

/// A rule chosen at run time, and what all tensors of a group share.
struct Group {
    std::size_t rule = 0;  ///< index into all_rules()
    HyperValues hyper{};
    double grad_scale = 1.0;
};

/// One update of many groups by rules chosen at run time, cut by plan_step. Part of adamcore::kernels.
template <class Pool>
void step(const Kernels& kernels, const Group* groups, const Tensor* tensors, const plan::Cut* cuts, int parts,
          const Pool& pool) noexcept {
    detail::run(tensors, cuts, parts, pool, [&] {
        return [&, cache = detail::StepCache()](const Tensor& tensor, std::int64_t begin, std::int64_t end) mutable {
            const Group& group = groups[tensor.group];
            const auto& constants = cache.get(tensor, [&](const Tensor& t, StepStorage& out) {
                all_rules()[group.rule].prepare(group.hyper, t.step, t.dtype, out);
            });
            kernels.sweep[group.rule][static_cast<std::size_t>(tensor.dtype)](constants, tensor, begin, end,
                                                                              group.grad_scale);
        };
    });
}

}  // namespace adamcore::cpu

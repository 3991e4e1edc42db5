#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/parallel.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/rule/check.hpp"
#include "adamcore/tensor.hpp"

/// The engine: plan, then pool, then sweep. Nothing here allocates, throws or keeps state.
namespace adamcore::cpu {

using adamcore::Group;

namespace detail {

/// What is known of a tensor when the constants of its update are computed, without numbers.
inline rule::Context context_of(const Tensor& tensor) noexcept {
    rule::Context context;
    context.t = tensor.step;
    context.begins = tensor.begins();
    context.size = tensor.size;
    context.rows = tensor.rows;
    context.columns = tensor.columns;
    return context;
}

}  // namespace detail

/// The constants of a group's latest update, and the powers from which those of the next one follow. The caller of many
/// steps keeps one for each group, so that beta^t need not be computed anew.
class LatestConstants {
public:
    /// Computes the constants of an update for tensors like this one. They have the bits that they would have without
    /// what is kept.
    void prepare(const Group& group, const Tensor& tensor) noexcept {
        const FloatEnvironment environment;
        compute_ = compute_dtype(tensor.dtype);
        step_ = tensor.step;
        begins_ = tensor.begins();
        all_rules()[group.rule].prepare_next(group.hyper, detail::context_of(tensor), compute_, powers_,
                                             constants_.bytes);
    }

    /// The constants, or null if they are of another update or another type.
    const void* find(const Tensor& tensor) const noexcept {
        const bool is_same =
            step_ == tensor.step && begins_ == tensor.begins() && compute_ == compute_dtype(tensor.dtype);
        return is_same ? constants_.bytes : nullptr;
    }

private:
    std::int64_t step_ = 0;
    bool begins_ = false;
    Dtype compute_ = Dtype::float32;
    StepStorage constants_{};
    bias::Powers powers_[rule::max_decays]{{-1, 0, {}}, {-1, 0, {}}};
};

namespace detail {

/// Computes the Step<T> that a tensor needs, and keeps the latest few in Storage, so that groups and step counts may
/// alternate. It needs no table and does not allocate.
template <class Storage>
class StepCache {
public:
    StepCache() noexcept {}  // leaves the constants, which are a kilobyte and a half, as they are

    /// Returns the constants for `tensor`. Calls `prepare(tensor, storage)` if they have not been kept.
    template <class Prepare>
    const void* get(const Tensor& tensor, Prepare&& prepare) {
        const auto key = static_cast<std::uint64_t>(tensor.step) + 3 * static_cast<std::uint64_t>(tensor.group);
        Entry& entry = entries_[key % size];
        const Dtype dtype = compute_dtype(tensor.dtype);
        if (entry.step != tensor.step || entry.group != tensor.group || entry.dtype != dtype ||
            entry.begins != tensor.begins()) {
            prepare(tensor, entry.constants.bytes);
            entry.step = tensor.step;
            entry.group = tensor.group;
            entry.dtype = dtype;
            entry.begins = tensor.begins();
        }
        return entry.constants.bytes;
    }

private:
    static constexpr std::size_t size = 8;
    struct Entry {
        std::int64_t step = -1;
        std::int32_t group = -1;
        Dtype dtype = Dtype::float32;
        bool begins = false;
        Storage constants;
    };
    Entry entries_[size];
};

/// Processes each part with its own worker, which `make_worker()` creates. If `reversed`, it starts with the last part,
/// because what was read last is in cache.
template <class Size, class Pool, class MakeWorker>
void run(Size size, const plan::Cut* cuts, int parts, const Pool& pool, bool reversed,
         MakeWorker make_worker) noexcept {
    pool.run(parts, [&](int i) noexcept {
        const int part = reversed ? parts - 1 - i : i;
        const FloatEnvironment environment;
        auto worker = make_worker();
        plan::for_each_piece(size, cuts[part], cuts[part + 1],
                             [&](std::int64_t at, std::int64_t begin, std::int64_t end) { worker(at, begin, end); });
    });
}

/// Whether a rule can update the tensor's arrays in place, without buffers.
inline bool is_direct(const Tensor& tensor, const Treatment& treatment) noexcept {
    return is_stored_plainly(tensor) && !treatment.prepares();
}

/// The beginnings of arrays are prefetched this many tensors ahead: where a small array lies, no processor foresees.
inline constexpr std::int64_t tensors_ahead = 2;
inline constexpr std::int64_t elements_ahead = 128;

inline void prefetch_beginning(const Tensor& tensor) noexcept {
    const std::int64_t count = std::min(active_size(tensor), elements_ahead);
    if (count == 0 || tensor.layout) return;
    const auto fetch = [&](const void* array, Dtype dtype) {
        if (array) prefetch(array, count * static_cast<std::int64_t>(size_of(dtype)));
    };
    fetch(tensor.param, tensor.dtype);
    fetch(tensor.grad, tensor.grad_dtype);
    for (const void* state : tensor.state) fetch(state, tensor.state_dtype);
}

/// Updates elements [begin, end) of one tensor with a rule's sweep, in place or tile by tile.
template <class T>
void update(DenseSweep rule, TileSweep tiles, const void* constants, const Tensor& tensor, std::int64_t begin,
            std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept {
    const Scale whole = group_scale * scale;
    if (!is_direct(tensor, treatment) || !scale::is_normal<T>(whole))
        return tiles(rule, constants, tensor, begin, end, group_scale, scale, treatment);
    void* state[max_slots];
    for (std::size_t slot = 0; slot < max_slots; ++slot)
        state[slot] = tensor.state[slot] ? static_cast<T*>(tensor.state[slot]) + begin : nullptr;
    rule(constants, whole.number, end - begin, static_cast<T*>(tensor.param) + begin,
         static_cast<const T*>(tensor.grad) + begin, state);
}

}  // namespace detail

/// Divides `count` tensors among a pool of `threads` threads. Returns the number of parts; `cuts` has room for
/// max_parts + 1 positions.
inline int plan_step(const Tensor* tensors, std::int64_t count, int threads, plan::Cut* cuts) noexcept {
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    std::int64_t work = 0;
    for (std::int64_t i = 0; i < count; ++i) work += work_of(tensors[i]);
    const int parts = parts_for(work, threads);
    plan::split(size, count, parts, cuts);
    return parts;
}

/// One update with one rule that is known at compile time, with the instruction set for which the caller compiles.
///
/// Gradients are processed as `treatment` says (a scale of -1 ascends). The bits of the result do not depend on the
/// pool, or on how tensors are distributed among calls.
template <class Rule, class Pool = Serial>
void step(const Tensor* tensors, std::int64_t count, const typename Rule::Hyper& hyper, const Pool& pool = {},
          const Treatment& treatment = {}) noexcept {
    static_assert(rule::is_rule<Rule>());
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    detail::run(size, cuts, parts, pool, false, [&] {
        using Storage = adamcore::detail::StepRoom<rule::List<Rule>>;
        return [&, cache = detail::StepCache<Storage>()](std::int64_t i, std::int64_t begin, std::int64_t end) mutable {
            const Tensor& tensor = tensors[i];
            visit_compute(tensor.dtype, [&](auto x) {
                using T = decltype(x);
                const void* constants = cache.get(tensor, [&](const Tensor& t, void* out) {
                    new (out) typename Rule::template Step<T>(rule::prepare<Rule, T>(hyper, detail::context_of(t)));
                });
                detail::update<T>(dense_sweep<isa::Static, Rule, T>, tile_sweep<isa::Static, T>, constants, tensor,
                                  begin, end, 1.0, treatment.scale_of(i), treatment);
            });
        };
    });
}

/// One update of many groups with rules that are chosen at run time, with parts from plan_step. If `reversed`, it
/// starts with the last part. `latest` has the constants of the groups, or is null. Part of adamcore::kernels.
template <class Pool>
void step(const Kernels& kernels, const Group* groups, const Tensor* tensors, const plan::Cut* cuts, int parts,
          const Pool& pool, const Treatment& treatment = {}, bool reversed = false,
          const LatestConstants* latest = nullptr) noexcept {
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    const std::int64_t count = cuts[parts].tensor;
    detail::run(size, cuts, parts, pool, reversed, [&] {
        return [&, cache = detail::StepCache<StepStorage>()](std::int64_t i, std::int64_t begin,
                                                             std::int64_t end) mutable {
            const Tensor& tensor = tensors[i];
            if (i + detail::tensors_ahead < count) detail::prefetch_beginning(tensors[i + detail::tensors_ahead]);
            const Group& group = groups[tensor.group];
            const void* constants = latest ? latest[tensor.group].find(tensor) : nullptr;
            if (!constants)
                constants = cache.get(tensor, [&](const Tensor& t, void* out) {
                    all_rules()[group.rule].prepare(group.hyper, detail::context_of(t), t.dtype, out);
                });
            visit_compute(tensor.dtype, [&](auto x) {
                using T = decltype(x);
                constexpr auto type = static_cast<std::size_t>(dtype_of<T>);
                detail::update<T>(kernels.sweep[group.rule][type], kernels.tiles[type], constants, tensor, begin, end,
                                  group.grad_scale, treatment.scale_of(i), treatment);
            });
        };
    });
}

}  // namespace adamcore::cpu

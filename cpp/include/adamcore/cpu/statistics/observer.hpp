#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "adamcore/cpu/pieces.hpp"
#include "adamcore/cpu/reduce.hpp"
#include "adamcore/cpu/statistics/fused_sweep.hpp"
#include "adamcore/cpu/statistics/kernels.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/statistics/columns.hpp"
#include "adamcore/tensor.hpp"

/// Observes a step piece by piece, while the arrays are in cache. Nothing here allocates.
namespace adamcore::cpu {

/// What is observed of a tensor.
struct Observed {
    statistics::Sums* leaves = nullptr;  ///< one for each leaf, zero at first
    norm::Reading firsts{}, seconds{};   ///< moments, without data if there are none
    norm::Reading grads{};
    double floor = 0;       ///< see statistics::floor_of()
    bool is_early = false;  ///< whether gradients and first moments are read before the step (observe_early())
    /// Where a step does not visit the elements in C order: room for all weights before and after it, in its order, and
    /// the same arrays in C order, for observe_late().
    void *before = nullptr, *after = nullptr;
    norm::Reading before_in_c_order{}, after_in_c_order{};
};

/// Room for one worker.
struct alignas(64) ObserverRoom {
    static constexpr std::int64_t chunk = detail::observed_ahead;

    double before[chunk], after[chunk];
    float stored_before[chunk], stored_after[chunk];
    LeafLanes lanes;
};

/// Who observes a step. Cuts inside tensors are at leaves then.
struct Observer {
    const ObservationKernels* kernels = nullptr;
    MeasureLeaves measure = nullptr;
    unsigned parts = 0;
    const FusedSweeps* fused = nullptr;  ///< by rule
    const Observed* tensors = nullptr;
    ObserverRoom* rooms = nullptr;  ///< as many as the step has parts
    std::atomic<int>* used_rooms = nullptr;
};

namespace detail {

/// Adds the sums of a leaf, elements [begin, end), to what is known of it.
inline void add_leaf_sums(const Observer& observer, unsigned parts, const Observed& tensor, LeafLanes& lanes,
                          std::int64_t begin, std::int64_t end) noexcept {
    statistics::Sums sums;
    if ((parts & statistics::squares) != 0) {
        sums.grads = {sums::total(lanes.grads), 0};
        // Squares of doubles may need another scale.
        if (tensor.grads.dtype == Dtype::float64) observer.measure(tensor.grads, begin, end, &sums.grads);
    }
    sums.weights = sums::total(lanes.weights);
    sums.updates = sums::total(lanes.updates);
    sums.products = sums::total(lanes.products);
    sums.firsts = sums::total(lanes.firsts);
    sums.seconds = sums::total(lanes.seconds);
    sums.largest = lanes.largest;
    sums.zeros = lanes.zeros;
    sums.lost = lanes.lost;
    sums.below = lanes.below;
    statistics::Sums& leaf = tensor.leaves[begin / sums::leaf];
    leaf = leaf + sums;
}

/// Reads whole tensors, leaf by leaf: `visit(tensor, begin, end, lanes)` with those of a size above 0. (Not inlined: steps
/// without statistics would have room for the cuts on their stack, too.)
template <class Pool, class Size, class Visit>
ADAMCORE_OUTLINE void observe_leaves(const Observer& observer, unsigned parts, std::int64_t count, const Pool& pool,
                                     Size&& size, Visit&& visit) noexcept {
    std::int64_t work = 0;
    for (std::int64_t i = 0; i < count; ++i) work += size(i) * norm_work;
    if (work == 0) return;
    plan::Cut cuts[max_parts + 1];
    const int cut = parts_for(work, pool.size());
    plan::split(size, count, cut, cuts, sums::leaf);
    run(size, cuts, cut, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            const Observed& tensor = observer.tensors[i];
            for (std::int64_t at = begin, next; at < end; at = next) {
                next = math::min(end, at + sums::leaf);
                LeafLanes lanes;
                visit(tensor, at, next, lanes);
                add_leaf_sums(observer, parts, tensor, lanes, at, next);
            }
        };
    });
}

/// A rule that does nothing, by compute type.
inline void rest(const void*, double, std::int64_t, std::int64_t, void*, const void*, void* const*) noexcept {}
inline constexpr DenseSweep resting[compute_type_count] = {{rest, {0, rule::param, 0}}, {rest, {0, rule::param, 0}}};

/// Observes the updates of one worker, if there is an observer.
class Watch {
public:
    explicit Watch(const Observer* observer) noexcept : observer_(observer) {
        if (observer) room_ = &observer->rooms[observer->used_rooms->fetch_add(1, std::memory_order_relaxed)];
    }

    /// Calls `update(rule, constants, from, to)` for chunks of elements [begin, end) of tensor `i`. There must be an
    /// observer. (Not inlined: it has no place on the stack of steps without statistics.)
    template <class Update>
    ADAMCORE_OUTLINE void update(const Tensor& tensor, std::int64_t i, const DenseSweep& rule, const void* constants,
                                 std::int64_t begin, std::int64_t end, Update&& update) const noexcept {
        const Observed& observed = observer_->tensors[i];
        for (std::int64_t at = begin, next; at < end; at = next) {
            next = math::min(end, at + sums::leaf);
            new (&room_->lanes) LeafLanes;  // in place: it is large for a stack
            for (std::int64_t from = at, to; from < next; from = to) {
                to = math::min(next, from + ObserverRoom::chunk);
                update_chunk(tensor, observed, rule, constants, from, to, update);
            }
            add_leaf_sums(*observer_, observed.is_early ? 0 : observer_->parts, observed, room_->lanes, at, next);
        }
    }

    /// The fused sweep for tensor `i`, or null: if the rule has none, or if other arrays are observed than those that the
    /// sweep sees.
    FusedSweep fused(std::size_t rule, std::int64_t i) const noexcept {
        if (!observer_->fused || observer_->tensors[i].is_early) return nullptr;
        return observer_->fused[rule].of[static_cast<std::size_t>(depth_for(observer_->parts))];
    }

    /// Updates elements [begin, end) of dense float32 arrays.
    void update_fused(FusedSweep sweep, const Tensor& tensor, std::int64_t i, const void* constants, std::int64_t begin,
                      std::int64_t end, double grad_scale) const noexcept {
        const Observed& observed = observer_->tensors[i];
        for (std::int64_t at = begin, next; at < end; at = next) {
            next = math::min(end, at + sums::leaf);
            void* state[max_slots] = {};
            for (std::size_t slot = 0; slot < max_slots && tensor.state[slot]; ++slot)
                state[slot] = static_cast<float*>(tensor.state[slot]) + at;
            sweep(constants, grad_scale, next - at, static_cast<float*>(tensor.param) + at,
                  static_cast<const float*>(tensor.grad) + at, state, observed.floor, observed.leaves[at / sums::leaf]);
        }
    }

private:
    template <class Update>
    void update_chunk(const Tensor& tensor, const Observed& observed, const DenseSweep& rule, const void* constants,
                      std::int64_t begin, std::int64_t end, Update&& update) const noexcept {
        const ObservationKernels& kernels = *observer_->kernels;
        const unsigned parts = observer_->parts;
        LeafLanes& lanes = room_->lanes;
        if (!observed.is_early && (parts & (statistics::of_gradients | statistics::agreement)) != 0)
            kernels.gradients(observed.grads, observed.firsts, begin, end, parts, lanes);
        const bool loses = (parts & statistics::losses) != 0 && is_half(tensor.dtype);
        const bool in_order = observed.before == nullptr, keeps = (parts & statistics::weights) != 0 || loses;
        const norm::Reading param{tensor.param, tensor.size, tensor.dtype,
                                  tensor.layout ? tensor.layout->param : Axes{}};
        if (loses) kernels.stored(param, begin, end, room_->stored_before);
        if (!keeps) {
            update(rule, constants, begin, end);
        } else {
            ObservedRule watched{&rule, constants, in_order ? &lanes : nullptr, room_->before, nullptr, 0, nullptr};
            if (loses) watched.after = room_->after;
            if (observed.seconds.data && observed.seconds.dtype == compute_dtype(tensor.dtype) && in_order)
                watched.ahead = static_cast<const char*>(observed.seconds.data) +
                                begin * static_cast<std::int64_t>(size_of(observed.seconds.dtype));
            if (!in_order) watched.before = observed.before, watched.after = observed.after, watched.at = begin;
            const auto type = static_cast<std::size_t>(compute_dtype(tensor.dtype));
            const DenseSweep seen{kernels.observed[type], rule.access};
            update(seen, &watched, begin, end);
        }
        if (loses) {
            kernels.stored(param, begin, end, room_->stored_after);
            const auto start = in_order ? 0 : begin;
            kernels.losses(static_cast<const float*>(in_order ? room_->before : observed.before) + start,
                           static_cast<const float*>(in_order ? room_->after : observed.after) + start,
                           room_->stored_before, room_->stored_after, end - begin, lanes);
        }
        if (in_order && observed.seconds.data && (parts & statistics::seconds) != 0)
            kernels.seconds(observed.seconds, begin, end, observed.floor, lanes);
    }

    const Observer* observer_;
    ObserverRoom* room_ = nullptr;
};

}  // namespace detail

/// Observes gradients and first moments of tensors before a step: of those for which it must be then, or of `all`.
template <class Pool>
void observe_early(const Observer& observer, const Tensor* tensors, std::int64_t count, bool all,
                   const Pool& pool) noexcept {
    const unsigned parts = observer.parts & (statistics::of_gradients | (all ? 0u : statistics::agreement));
    if (parts == 0) return;
    detail::observe_leaves(
        observer, parts, count, pool,
        [&](std::int64_t i) { return all || observer.tensors[i].is_early ? active_size(tensors[i]) : 0; },
        [&](const Observed& tensor, std::int64_t begin, std::int64_t end, LeafLanes& lanes) {
            observer.kernels->gradients(tensor.grads, tensor.firsts, begin, end, parts, lanes);
        });
}

/// Observes weights and second moments, after a step, of tensors whose elements it did not visit in C order.
template <class Pool>
void observe_late(const Observer& observer, const Tensor* tensors, std::int64_t count, const Pool& pool) noexcept {
    const unsigned parts = observer.parts & (statistics::weights | statistics::seconds);
    if (parts == 0) return;
    detail::observe_leaves(
        observer, 0, count, pool,
        [&](std::int64_t i) { return observer.tensors[i].before ? active_size(tensors[i]) : 0; },
        [&](const Observed& tensor, std::int64_t begin, std::int64_t end, LeafLanes& lanes) {
            if ((parts & statistics::weights) != 0)
                observer.kernels->weights(tensor.before_in_c_order, tensor.after_in_c_order, begin, end, lanes);
            if ((parts & statistics::seconds) != 0 && tensor.seconds.data)
                observer.kernels->seconds(tensor.seconds, begin, end, tensor.floor, lanes);
        });
}

}  // namespace adamcore::cpu

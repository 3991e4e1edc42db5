#pragma once

#include <cstdint>

#include "adamcore/cpu/arrays.hpp"
#include "adamcore/cpu/statistics/lanes.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/statistics/columns.hpp"
#include "adamcore/sums.hpp"

ADAMCORE_LOOPS_BEGIN

/// The loops of statistics, for one ISA.
namespace adamcore::cpu {

/// A rule whose sweep is observed: where the weights before it are kept, and if wanted those after it, before they are
/// rounded to what is stored. `at` counts the elements that have been updated.
struct ObservedRule {
    const DenseSweep* rule;
    const void* constants;
    LeafLanes* lanes;  ///< null if sums are computed later
    void* before;
    void* after;
    std::int64_t at;
    const void* ahead;  ///< what is needed next, and is prefetched meanwhile; may be null
};

/// Readings have the elements of a tensor in the order in which they are summed; [begin, end) lies in a leaf.
struct ObservationKernels {
    /// `firsts` may have no data.
    void (*gradients)(const norm::Reading& grads, const norm::Reading& firsts, std::int64_t begin, std::int64_t end,
                      unsigned parts, LeafLanes& lanes) noexcept;
    void (*seconds)(const norm::Reading& seconds, std::int64_t begin, std::int64_t end, double floor,
                    LeafLanes& lanes) noexcept;
    void (*weights)(const norm::Reading& before, const norm::Reading& after, std::int64_t begin, std::int64_t end,
                    LeafLanes& lanes) noexcept;
    /// Writes elements [begin, end) of a parameter as float32.
    void (*stored)(const norm::Reading& param, std::int64_t begin, std::int64_t end, float* out) noexcept;
    /// Counts the changes that two readings of a parameter do not show.
    void (*losses)(const float* before, const float* after, const float* stored_before, const float* stored_after,
                   std::int64_t count, LeafLanes& lanes) noexcept;
    /// DenseSweep::run of an ObservedRule, by compute type.
    decltype(DenseSweep::run) observed[compute_type_count];
};

namespace detail {

/// How many elements ahead arrays are prefetched that are read piece by piece: as many as a piece has.
inline constexpr std::int64_t observed_ahead = 1024;

template <class Isa>
struct Observation {
    static void gradients(const norm::Reading& grads, const norm::Reading& firsts, std::int64_t begin, std::int64_t end,
                          unsigned parts, LeafLanes& lanes) noexcept {
        visit_compute(grads.dtype, [&](auto g) {
            visit_compute(firsts.dtype, [&](auto m) {
                using G = decltype(g);
                using M = decltype(m);
                alignas(64) G grad_buffer[tile];
                alignas(64) M first_buffer[tile];
                const std::int64_t most =
                    is_direct<G>(grads) && (!firsts.data || is_direct<M>(firsts)) ? end - begin : tile;
                for (std::int64_t at = begin, count; at < end; at += count) {
                    count = math::min(most, end - at);
                    const G* const grad = load(grads, at, count, grad_buffer);
                    const M* const first = firsts.data ? load(firsts, at, count, first_buffer) : nullptr;
                    sum_chosen(first, grad, count, first ? parts : parts & ~unsigned{statistics::agreement}, lanes);
                }
            });
        });
    }

    static void seconds(const norm::Reading& seconds, std::int64_t begin, std::int64_t end, double floor,
                        LeafLanes& lanes) noexcept {
        visit_compute(seconds.dtype, [&](auto x) {
            using T = decltype(x);
            alignas(64) T buffer[tile];
            const std::int64_t most = is_direct<T>(seconds) ? end - begin : tile;
            for (std::int64_t at = begin, count; at < end; at += count) {
                count = math::min(most, end - at);
                sum_seconds(load(seconds, at, count, buffer), count, bound_in<T>(floor), lanes);
            }
        });
    }

    static void weights(const norm::Reading& before, const norm::Reading& after, std::int64_t begin, std::int64_t end,
                        LeafLanes& lanes) noexcept {
        visit_compute(before.dtype, [&](auto x) {
            using T = decltype(x);
            alignas(64) T was[tile], is[tile];
            for (std::int64_t at = begin; at < end; at += tile) {
                const std::int64_t count = math::min(tile, end - at);
                const T* const first = load(before, at, count, was);
                compare(first, load(after, at, count, is), count, static_cast<const T*>(nullptr), lanes);
            }
        });
    }

    static void stored(const norm::Reading& param, std::int64_t begin, std::int64_t end, float* out) noexcept {
        for (std::int64_t at = begin; at < end; at += tile)
            Arrays<Isa>::load(param.data, param.dtype, param.axes, at, math::min(tile, end - at), out + (at - begin));
    }

    static void losses(const float* before, const float* after, const float* stored_before, const float* stored_after,
                       std::int64_t count, LeafLanes& lanes) noexcept {
        std::int32_t lost = 0;
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i)
            lost += math::select(after[i] != before[i], 1, 0) & math::select(stored_after[i] == stored_before[i], 1, 0);
        lanes.lost += lost;
    }

    template <class T>
    static void sweep(const void* observed, double grad_scale, std::int64_t count, std::int64_t following, void* param,
                      const void* grad, void* const* state) noexcept {
        // Whoever observes owns the rule that it observes, and passes it where constants are passed.
        auto& rule = *static_cast<ObservedRule*>(const_cast<void*>(observed));
        const T* const weights = static_cast<const T*>(param);
        T* const before = static_cast<T*>(rule.before) + rule.at;
        keep(weights, before, count);
        (*rule.rule)(rule.constants, grad_scale, count, following, param, grad, state);
        if (rule.lanes) compare(before, weights, count, static_cast<const T*>(rule.ahead), *rule.lanes);
        if (rule.after) copy(weights, static_cast<T*>(rule.after) + rule.at, count);
        rule.at += count;
    }

private:
    template <class T>
    ADAMCORE_FN static bool is_direct(const norm::Reading& array) {
        return array.axes.count == 0 && array.dtype == dtype_of<T>;
    }

    template <class T>
    ADAMCORE_FN static const T* load(const norm::Reading& array, std::int64_t at, std::int64_t count, T* buffer) {
        if (is_direct<T>(array)) return static_cast<const T*>(array.data) + at;
        Arrays<Isa>::load(array.data, array.dtype, array.axes, at, count, buffer);
        return buffer;
    }

    template <class T>
    ADAMCORE_FN static void copy(const T* ADAMCORE_RESTRICT from, T* ADAMCORE_RESTRICT to, std::int64_t count) {
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
    }

    /// Sums what `parts` says of gradients and first moments, and prefetches what is visited next.
    template <unsigned Parts, class M, class G>
    ADAMCORE_FN static void sum_gradients(const M* first, const G* grad, std::int64_t count, LeafLanes& lanes) {
        LaneTotals<G> of;
        of.template load<Parts>(lanes);
        const auto add = [&](std::int64_t i, int lane) {
            if constexpr ((Parts & statistics::squares) != 0) of.add_square(grad[i], lane);
            if constexpr ((Parts & statistics::agreement) != 0) of.add_agreement(first[i], grad[i], lane);
            if constexpr ((Parts & statistics::extremes) != 0) of.add_extremes(grad[i], lane);
        };
        first ? over_lanes(count, add, observed_ahead, grad, first) : over_lanes(count, add, observed_ahead, grad);
        of.template store<Parts>(lanes);
    }

    template <class T>
    ADAMCORE_FN static void sum_seconds(const T* second, std::int64_t count, T floor, LeafLanes& lanes) {
        LaneTotals<T> of;
        of.template load<statistics::seconds>(lanes);
        over_lanes(count, [&](std::int64_t i, int lane) { of.add_second(second[i], floor, lane); });
        of.template store<statistics::seconds>(lanes);
    }

    /// (Each choice is a loop of its own.)
    template <class M, class G>
    ADAMCORE_FN static void sum_chosen(const M* first, const G* grad, std::int64_t count, unsigned parts,
                                       LeafLanes& lanes) {
        using namespace statistics;
        const bool has_squares = (parts & squares) != 0;
        if ((parts & agreement) != 0) {
            has_squares ? sum_gradients<squares | agreement>(first, grad, count, lanes)
                        : sum_gradients<agreement>(first, grad, count, lanes);
        } else if (has_squares) {
            sum_gradients<squares>(first, grad, count, lanes);
        }
        if ((parts & extremes) != 0) sum_gradients<extremes>(first, grad, count, lanes);
    }

    /// Keeps the weights, and prefetches the next ones.
    template <class T>
    ADAMCORE_FN static void keep(const T* ADAMCORE_RESTRICT weights, T* ADAMCORE_RESTRICT kept, std::int64_t count) {
        over_lanes(
            count, [&](std::int64_t i, int) { kept[i] = weights[i]; }, observed_ahead, weights);
    }

    /// Sums squares of weights and of their changes, and prefetches what is needed next.
    template <class T>
    ADAMCORE_FN static void compare(const T* before, const T* after, std::int64_t count, const T* ahead,
                                    LeafLanes& lanes) {
        LaneTotals<T> of;
        of.template load<statistics::weights>(lanes);
        const auto add = [&](std::int64_t i, int lane) { of.add_change(before[i], after[i], lane); };
        ahead ? over_lanes(count, add, observed_ahead, ahead) : over_lanes(count, add);
        of.template store<statistics::weights>(lanes);
    }
};

}  // namespace detail

template <class Isa>
inline constexpr ObservationKernels observation_kernels{
    detail::Observation<Isa>::gradients,
    detail::Observation<Isa>::seconds,
    detail::Observation<Isa>::weights,
    detail::Observation<Isa>::stored,
    detail::Observation<Isa>::losses,
    {detail::Observation<Isa>::template sweep<float>, detail::Observation<Isa>::template sweep<double>}};

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

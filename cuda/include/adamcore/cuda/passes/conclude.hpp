#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/fold.hpp"
#include "adamcore/cuda/passes/numbers.hpp"
#include "adamcore/cuda/passes/table.hpp"
#include "adamcore/rule/make_info.hpp"

/// What follows a pass that sums over tensors.
namespace adamcore::cuda {

struct ConcludeArguments {
    const Summed* items;
    std::int64_t count;
    double* terms;
    const std::int64_t* first;  ///< by array, as for total_of()
    double* totals;             ///< for sums over all tensors: `count` for each, and the totals of all in their places
    double* all;                ///< by sum: the totals over all tensors
    const Tensor* tensors;
    const Clock* clocks;
    const Group* groups;
    std::int32_t group_count;
    Constants* constants;
    double* shared;  ///< the optimizer's numbers
    Control* control;
};

/// Whether a pass's sum is over all tensors. (Devices cannot read constexpr arrays.)
template <class Pass, std::size_t S>
inline constexpr bool is_over_all = Pass::sums[S] == rule::Over::all;

/// Adds up the sums over all tensors, and decides. It is one block.
template <class Rule, class Pass, int place>
struct Agree {
    using Arguments = ConcludeArguments;

    static constexpr int resident = 1;

    struct Shared {};

    ADAMCORE_FN static int phases(const Arguments& a, Place) { return fold_levels(a.count) + 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared&) {
        if (a.control->skip) return;
        if (phase == 0) {
            ADAMCORE_ROLLED
            for (std::int64_t i = at.thread; i < a.count; i += threads) take_totals(a, i, Sums{});
        } else if (phase < phases(a, at) - 1) {
            for (int sum = 0; sum < sum_count; ++sum)
                fold_level(totals_of(a, sum), static_cast<std::int32_t>(a.count), phase - 1, at.thread);
        } else if (at.thread == 0) {
            decide(a);
        }
    }

private:
    using Sums = std::make_index_sequence<rule::sum_count<Pass>>;
    static constexpr int sum_count = static_cast<int>(rule::sum_count<Pass>);

    template <std::size_t... S>
    ADAMCORE_FN static void take_totals(const Arguments& a, std::int64_t i, std::index_sequence<S...>) {
        ((totals_of(a, S)[i] =
              is_over_all<Pass, S> ? total_of(a.terms, a.first, a.items[i].array + std::int64_t{S}) : 0),
         ...);
    }

    ADAMCORE_FN static double* totals_of(const Arguments& a, std::int64_t sum) { return a.totals + sum * a.count; }

    ADAMCORE_FN static void decide(const Arguments& a) {
        for (int sum = 0; sum < sum_count; ++sum) a.all[sum] = a.count > 0 ? totals_of(a, sum)[0] : 0;
        const auto hyper = detail::hyper_of<Rule>(a.groups[leader(a)].hyper);
        if (!Pass::decide(hyper, a.all, a.shared)) a.control->skip = Control::stopped;
    }

    /// The first group of this rule that takes part, or else the first of this rule.
    ADAMCORE_FN static std::int32_t leader(const Arguments& a) {
        std::int32_t first = -1;
        ADAMCORE_ROLLED
        for (std::int32_t i = 0; i < a.group_count; ++i) {
            if (a.groups[i].rule != place) continue;
            if (Rule::takes_part(detail::hyper_of<Rule>(a.groups[i].hyper))) return i;
            if (first < 0) first = i;
        }
        return first < 0 ? 0 : first;
    }
};

/// Completes the constants of tensors, with one thread for each.
template <class Rule, class T, class Pass>
struct Conclude {
    using Arguments = ConcludeArguments;
    using Step = typename Rule::template Step<T>;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const std::int64_t i = at.block * threads + at.thread;
        if (i >= a.count || a.control->skip) return;
        const Summed item = a.items[i];
        const Tensor& tensor = a.tensors[item.tensor];
        double sums[rule::sum_count<Pass>];
        take_sums(a, item, sums, std::make_index_sequence<rule::sum_count<Pass>>{});
        Constants& constants = a.constants[tensor.group];
        const auto hyper = detail::hyper_of<Rule>(a.groups[a.clocks[tensor.group].group].hyper);
        Step& step = *reinterpret_cast<Step*>(constants.step.bytes);
        with_context<Rule>(tensor, constants, a.shared,
                           [&](const rule::Context& context) { Pass::conclude(hyper, context, sums, step); });
    }

private:
    template <std::size_t... S>
    ADAMCORE_FN static void take_sums(const Arguments& a, const Summed& item, double (&sums)[rule::sum_count<Pass>],
                                      std::index_sequence<S...>) {
        ((sums[S] = is_over_all<Pass, S> ? a.all[S] : total_of(a.terms, a.first, item.array + std::int64_t{S})), ...);
    }
};

}  // namespace adamcore::cuda

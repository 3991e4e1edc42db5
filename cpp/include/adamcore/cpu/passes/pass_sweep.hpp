#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cpu/access.hpp"
#include "adamcore/cpu/prefetch.hpp"
#include "adamcore/sums.hpp"

ADAMCORE_LOOPS_BEGIN

/// The loops of passes, as those of sweep.hpp.
namespace adamcore::cpu {

/// Elements that a pass visits.
struct Span {
    std::int64_t count;
    std::int64_t first_lane;  ///< that of the first element
    std::int64_t following;   ///< how many elements behind them are visited next
};

/// Calls a pass of a rule for a span of such arrays. Arrays that are neither read nor written may be null.
///
/// Element i adds its term of sum k to sums[k][(first_lane + i) % sums::lanes], or to sums[k][i] if the sum is over columns.
struct PassSweep {
    void (*run)(const void* constants, double grad_scale, const Span& span, const void* param, const void* grad,
                void* const* state, double* const* sums) noexcept;
    Access access;
    std::size_t sums;
};

/// The passes of a rule, for one compute type.
using PassSweeps = std::array<PassSweep, rule::max_passes>;

namespace detail {

/// The sums of a pass while a span is visited. Lanes are copied, because compilers could not tell them from the arrays.
template <class Pass, class Sums = std::make_index_sequence<rule::sum_count<Pass>>>
struct SpanSums;

template <class Pass, std::size_t... K>
struct SpanSums<Pass, std::index_sequence<K...>> {
    double* const* of;
    double lanes[sizeof...(K)][sums::lanes];

    template <std::size_t I>
    static constexpr bool has_lanes = Pass::sums[I] != rule::Over::columns;

    ADAMCORE_FN void load(double* const* sums) {
        of = sums;
        (load<K>(), ...);
    }
    ADAMCORE_FN void store() const { (store<K>(), ...); }
    ADAMCORE_FN void add(const rule::Terms<sizeof...(K)>& terms, std::int64_t i, std::int64_t lane) {
        (add<K>(terms.of[K], i, lane), ...);
    }

private:
    template <std::size_t I>
    ADAMCORE_FN void load() {
        for (int lane = 0; has_lanes<I> && lane < sums::lanes; ++lane) lanes[I][lane] = of[I][lane];
    }
    template <std::size_t I>
    ADAMCORE_FN void store() const {
        for (int lane = 0; has_lanes<I> && lane < sums::lanes; ++lane) of[I][lane] = lanes[I][lane];
    }
    template <std::size_t I>
    ADAMCORE_FN void add(double term, std::int64_t i, std::int64_t lane) {
        if constexpr (has_lanes<I>) {
            lanes[I][lane] += term;
        } else {
            of[I][i] += term;
        }
    }
};

/// An element of a pass.
template <class Rule, class Pass, bool HasL2, class T, std::size_t... I, std::size_t... K, class... State>
ADAMCORE_FN auto visit_part(const typename Rule::template Step<T>& step, T grad_scale, std::int64_t i, const T* param,
                            const T* grad, std::index_sequence<I...>, std::index_sequence<K...>, State*... state) {
    constexpr unsigned reads = reads_with_l2<Rule>(Pass::reads);
    const T weight = get<(reads & rule::param) != 0>(param, i);
    [[maybe_unused]] T value[sizeof...(I) + 1] = {get<(reads & rule::slot(I)) != 0>(state, i)...};
    const auto terms = Pass::visit(step, seen_at<reads, HasL2>(step, grad_scale, i, weight, grad), weight, value[K]...);
    (put<(Pass::writes & rule::slot(I)) != 0>(state, i, value[K]), ...);
    return terms;
}

template <class Rule, class Pass, bool HasL2, class T, class... State>
ADAMCORE_FN void visit_elements(const typename Rule::template Step<T>& constants, T grad_scale, const Span& span,
                                const T* ADAMCORE_RESTRICT param, const T* ADAMCORE_RESTRICT grad, double* const* of,
                                State* ADAMCORE_RESTRICT... state) {
    const typename Rule::template Step<T> step = constants;
    constexpr unsigned reads = elements_read<Rule>(reads_with_l2<Rule>(Pass::reads));
    constexpr rule::ElementArrays<Rule> arrays{};
    constexpr std::make_index_sequence<sizeof...(State)> all{};
    SpanSums<Pass> sums;
    sums.load(of);
    const std::int64_t count = span.count, last = count + span.following - 1;
    std::int64_t at = 0;
    for (std::int64_t lane = span.first_lane; lane % sums::lanes != 0 && at < count; ++lane, ++at)
        sums.add(visit_part<Rule, Pass, HasL2, T>(step, grad_scale, at, param, grad, arrays, all, state...), at, lane);
    for (; at + sums::lanes <= count; at += sums::lanes) {
        if (at % elements_at_once<T> == 0) prefetch_next<reads>(at, last, param, grad, arrays, state...);
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < sums::lanes; ++i)
            sums.add(visit_part<Rule, Pass, HasL2, T>(step, grad_scale, at + i, param, grad, arrays, all, state...),
                     at + i, i);
    }
    for (std::int64_t lane = 0; at < count; ++lane, ++at)
        sums.add(visit_part<Rule, Pass, HasL2, T>(step, grad_scale, at, param, grad, arrays, all, state...), at, lane);
    sums.store();
}

template <class Isa, class Rule, class Pass, class T, class Slots>
struct RulePass;

template <class Isa, class Rule, class Pass, class T, std::size_t... I>
struct RulePass<Isa, Rule, Pass, T, std::index_sequence<I...>> {
    static void run(const void* constants, double grad_scale, const Span& span, const void* param, const void* grad,
                    [[maybe_unused]] void* const* state, double* const* sums) noexcept {
        using Step = typename Rule::template Step<T>;
        const auto& step = *static_cast<const Step*>(constants);
        const auto with = [&](auto has_l2) {
            visit_elements<Rule, Pass, has_l2.value, T>(step, static_cast<T>(grad_scale), span,
                                                        static_cast<const T*>(param), static_cast<const T*>(grad), sums,
                                                        static_cast<T*>(state[I])...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }
};

template <class Isa, class Rule, class T, class... Pass>
constexpr PassSweeps make_pass_sweeps(rule::Passes<Pass...>) {
    return {PassSweep{RulePass<Isa, Rule, Pass, T, rule::ElementArrays<Rule>>::run,
                      access_of<Rule>(Pass::reads, Pass::writes), rule::sum_count<Pass>}...};
}

}  // namespace detail

/// The sweeps of a rule's passes.
template <class Isa, class Rule, class T>
inline constexpr PassSweeps pass_sweeps = detail::make_pass_sweeps<Isa, Rule, T>(rule::passes_of<Rule>{});

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cpu/access.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/rule_info.hpp"

ADAMCORE_LOOPS_BEGIN

/// The loops over elements, instantiated for each ISA, rule and compute type.
///
/// An ISA's object file contains only instances of these templates. Their names contain the ISA, and everything that
/// they call is forced inline, so no function compiled for one ISA can replace another's.
namespace adamcore::cpu {

/// Calls a rule's sweep: updates `count` elements of dense arrays of the compute type T with the Step<T> that
/// `constants` points to. The gradient is first multiplied by `grad_scale`.
struct DenseSweep {
    void (*run)(const void* constants, double grad_scale, std::int64_t count, void* param, const void* grad,
                void* const* state) noexcept;
    Access access;

    ADAMCORE_FN void operator()(const void* constants, double grad_scale, std::int64_t count, void* param,
                                const void* grad, void* const* state) const noexcept {
        run(constants, grad_scale, count, param, grad, state);
    }
};

/// Calls a pass of a rule for `count` elements of such arrays. The terms of sum k are written to terms + k * visit_size(sums),
/// and `count` is at most visit_size(sums). Arrays that are neither read nor written may be null.
struct PassSweep {
    void (*run)(const void* constants, double grad_scale, std::int64_t count, const void* param, const void* grad,
                void* const* state, double* terms) noexcept;
    Access access;
    std::size_t sums;
};
/// Small enough that the terms of all sums take little of the stack.
ADAMCORE_FN constexpr std::int64_t visit_size(std::size_t sums) { return sums <= 2 ? 128 : 64; }
inline constexpr std::int64_t most_terms = 256;

/// The passes of a rule, for one compute type.
using PassSweeps = std::array<PassSweep, rule::max_passes>;

namespace detail {

/// Element `i` of an array if the kernel uses the array, or 0.
template <bool Uses, class T>
ADAMCORE_FN T get([[maybe_unused]] const T* array, [[maybe_unused]] std::int64_t i) {
    if constexpr (Uses) {
        return array[i];
    } else {
        return T(0);
    }
}
template <bool Uses, class T>
ADAMCORE_FN void put([[maybe_unused]] T* array, [[maybe_unused]] std::int64_t i, [[maybe_unused]] T value) {
    if constexpr (Uses) array[i] = value;
}

/// The gradient that a kernel receives which reads these arrays: 0 if the gradient is none of them.
template <unsigned Reads, bool HasL2, class Step, class T>
ADAMCORE_FN auto seen_at([[maybe_unused]] const Step& step, [[maybe_unused]] T grad_scale,
                         [[maybe_unused]] std::int64_t i, [[maybe_unused]] T param, [[maybe_unused]] const T* grad) {
    if constexpr ((Reads & rule::grad) != 0) {
        return gradient::seen<HasL2>(step, grad[i], grad_scale, param);
    } else {
        return T(0);
    }
}

/// An element of a rule that says what its update reads and writes.
template <class Rule, bool HasL2, class T, std::size_t... I, std::size_t... K, class... State>
ADAMCORE_FN void update_part(const typename Rule::template Step<T>& step, T grad_scale, std::int64_t i, T* param,
                             const T* grad, std::index_sequence<I...>, std::index_sequence<K...>, State*... state) {
    constexpr unsigned reads = reads_with_l2<Rule>(rule::update_reads<Rule>), writes = rule::update_writes<Rule>;
    T weight = get<(reads & rule::param) != 0>(param, i);
    [[maybe_unused]] T value[sizeof...(I) + 1] = {get<(reads & rule::slot(I)) != 0>(state, i)...};
    Rule::template update<T>(step, seen_at<reads, HasL2>(step, grad_scale, i, weight, grad), weight, value[K]...);
    (put<(writes & rule::slot(I)) != 0>(state, i, value[K]), ...);
    put<(writes & rule::param) != 0>(param, i, weight);
}

/// An element of a pass. Writes its terms to `terms`, visit_size(sums) numbers apart.
template <class Rule, class Pass, bool HasL2, class T, std::size_t... I, std::size_t... K, class... State>
ADAMCORE_FN void visit_part(const typename Rule::template Step<T>& step, T grad_scale, std::int64_t i, const T* param,
                            const T* grad, double* terms, std::index_sequence<I...>, std::index_sequence<K...>,
                            State*... state) {
    constexpr unsigned reads = reads_with_l2<Rule>(Pass::reads);
    const T weight = get<(reads & rule::param) != 0>(param, i);
    [[maybe_unused]] T value[sizeof...(I) + 1] = {get<(reads & rule::slot(I)) != 0>(state, i)...};
    const auto found = Pass::visit(step, seen_at<reads, HasL2>(step, grad_scale, i, weight, grad), weight, value[K]...);
    (put<(Pass::writes & rule::slot(I)) != 0>(state, i, value[K]), ...);
    constexpr std::int64_t apart = visit_size(rule::sum_count<Pass>);
    for (std::size_t k = 0; k < rule::sum_count<Pass>; ++k)
        terms[static_cast<std::int64_t>(k) * apart + i] = found.of[k];
}

/// Updates elements [begin, begin + count). With a constant `count`, the loop consists of whole vectors.
template <class Rule, bool HasL2, class T, class... State>
ADAMCORE_FN void update_elements(const typename Rule::template Step<T>& step, T grad_scale, std::int64_t begin,
                                 std::int64_t count, T* ADAMCORE_RESTRICT param, const T* ADAMCORE_RESTRICT grad,
                                 State* ADAMCORE_RESTRICT... state) {
    if constexpr (rule::says_access<Rule>) {
        ADAMCORE_IVDEP
        for (std::int64_t i = begin; i < begin + count; ++i)
            update_part<Rule, HasL2, T>(step, grad_scale, i, param, grad, rule::ElementArrays<Rule>{},
                                        std::make_index_sequence<sizeof...(State)>{}, state...);
    } else {
        ADAMCORE_IVDEP
        for (std::int64_t i = begin; i < begin + count; ++i) {
            const auto seen = gradient::seen<HasL2>(step, grad[i], grad_scale, param[i]);
            Rule::template update<T>(step, seen, param[i], state[i]...);
        }
    }
}

/// Updates the last `count` < 2 * Width elements, in narrower and narrower vectors. The remainder loops of compilers
/// process single elements, and in a model of many small tensors the remainders are a third of the work.
template <std::int64_t Width, class Rule, bool HasL2, class T, class... State>
ADAMCORE_FN void update_tail(const typename Rule::template Step<T>& step, T grad_scale, std::int64_t begin,
                             std::int64_t count, T* param, const T* grad, State*... state) {
    if (count & Width) {
        update_elements<Rule, HasL2, T>(step, grad_scale, begin, Width, param, grad, state...);
        begin += Width;
    }
    if constexpr (Width > 1)
        update_tail<Width / 2, Rule, HasL2, T>(step, grad_scale, begin, count, param, grad, state...);
}

template <class Isa, class Rule, bool HasL2, class T, class... State>
void sweep_elements(const typename Rule::template Step<T>& constants, T grad_scale, std::int64_t count, T* param,
                    const T* grad, State*... state) noexcept {
    const typename Rule::template Step<T> step = constants;
    constexpr std::int64_t line = 64 / sizeof(T);
    const std::int64_t whole = count / line * line;
    update_elements<Rule, HasL2, T>(step, grad_scale, 0, whole, param, grad, state...);
    update_tail<line / 2, Rule, HasL2, T>(step, grad_scale, whole, count, param, grad, state...);
}

template <class Rule, class Pass, bool HasL2, class T, class... State>
ADAMCORE_FN void visit_elements(const typename Rule::template Step<T>& constants, T grad_scale, std::int64_t count,
                                const T* param, const T* grad, double* ADAMCORE_RESTRICT terms,
                                State* ADAMCORE_RESTRICT... state) {
    const typename Rule::template Step<T> step = constants;
    constexpr std::int64_t line = 64 / sizeof(T);
    const std::int64_t whole = count / line * line;
    ADAMCORE_IVDEP
    for (std::int64_t i = 0; i < whole; ++i)
        visit_part<Rule, Pass, HasL2, T>(step, grad_scale, i, param, grad, terms, rule::ElementArrays<Rule>{},
                                         std::make_index_sequence<sizeof...(State)>{}, state...);
    for (std::int64_t i = whole; i < count; ++i)
        visit_part<Rule, Pass, HasL2, T>(step, grad_scale, i, param, grad, terms, rule::ElementArrays<Rule>{},
                                         std::make_index_sequence<sizeof...(State)>{}, state...);
}

template <class Isa, class Rule, class Pass, class T, class Slots>
struct RulePass;

template <class Isa, class Rule, class Pass, class T, std::size_t... I>
struct RulePass<Isa, Rule, Pass, T, std::index_sequence<I...>> {
    static void run(const void* constants, double grad_scale, std::int64_t count, const void* param, const void* grad,
                    [[maybe_unused]] void* const* state, double* terms) noexcept {
        using Step = typename Rule::template Step<T>;
        const auto& step = *static_cast<const Step*>(constants);
        const auto with = [&](auto has_l2) {
            visit_elements<Rule, Pass, has_l2.value, T>(step, static_cast<T>(grad_scale), count,
                                                        static_cast<const T*>(param), static_cast<const T*>(grad),
                                                        terms, static_cast<T*>(state[I])...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }
};

template <class Isa, class Rule, class T, class Slots>
struct RuleSweep;

template <class Isa, class Rule, class T, std::size_t... I>
struct RuleSweep<Isa, Rule, T, std::index_sequence<I...>> {
    static void run(const void* constants, double grad_scale, std::int64_t count, void* param, const void* grad,
                    [[maybe_unused]] void* const* state) noexcept {
        using Step = typename Rule::template Step<T>;
        const auto& step = *static_cast<const Step*>(constants);
        const auto with = [&](auto has_l2) {
            sweep_elements<Isa, Rule, has_l2.value, T>(step, static_cast<T>(grad_scale), count, static_cast<T*>(param),
                                                       static_cast<const T*>(grad), static_cast<T*>(state[I])...);
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

/// The sweep of one rule over arrays of its compute type T.
template <class Isa, class Rule, class T>
inline constexpr DenseSweep dense_sweep{detail::RuleSweep<Isa, Rule, T, rule::ElementArrays<Rule>>::run,
                                        detail::access_of<Rule>(rule::update_reads<Rule>, rule::update_writes<Rule>)};

/// Those of its passes.
template <class Isa, class Rule, class T>
inline constexpr PassSweeps pass_sweeps = detail::make_pass_sweeps<Isa, Rule, T>(rule::passes_of<Rule>{});

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cpu/access.hpp"
#include "adamcore/cpu/prefetch.hpp"
#include "adamcore/gradient.hpp"

ADAMCORE_LOOPS_BEGIN

/// The loops over elements, instantiated for each ISA, rule and compute type.
///
/// An ISA's object file contains only instances of these templates. Their names contain the ISA, and everything that
/// they call is forced inline, so no function compiled for one ISA can replace another's.
namespace adamcore::cpu {

/// Calls a rule's sweep: updates `count` elements of dense arrays of the compute type T with the Step<T> that
/// `constants` points to. The gradient is first multiplied by `grad_scale`. The `following` elements are updated next.
struct DenseSweep {
    void (*run)(const void* constants, double grad_scale, std::int64_t count, std::int64_t following, void* param,
                const void* grad, void* const* state) noexcept;
    Access access;

    ADAMCORE_FN void operator()(const void* constants, double grad_scale, std::int64_t count, std::int64_t following,
                                void* param, const void* grad, void* const* state) const noexcept {
        run(constants, grad_scale, count, following, param, grad, state);
    }
};

namespace detail {

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
void sweep_elements(const typename Rule::template Step<T>& constants, T grad_scale, std::int64_t count,
                    [[maybe_unused]] std::int64_t following, T* param, const T* grad, State*... state) noexcept {
    const typename Rule::template Step<T> step = constants;
    constexpr std::int64_t line = 64 / sizeof(T);
    const std::int64_t whole = count / line * line;
    std::int64_t at = 0;
    if constexpr (rule::says_access<Rule>) {  // because it uses few arrays
        constexpr unsigned reads = elements_read<Rule>(reads_with_l2<Rule>(rule::update_reads<Rule>));
        for (; at + elements_at_once<T> <= whole; at += elements_at_once<T>) {
            prefetch_next<reads>(at, count + following - 1, param, grad, rule::ElementArrays<Rule>{}, state...);
            update_elements<Rule, HasL2, T>(step, grad_scale, at, elements_at_once<T>, param, grad, state...);
        }
    }
    update_elements<Rule, HasL2, T>(step, grad_scale, at, whole - at, param, grad, state...);
    update_tail<line / 2, Rule, HasL2, T>(step, grad_scale, whole, count, param, grad, state...);
}

template <class Isa, class Rule, class T, class Slots>
struct RuleSweep;

template <class Isa, class Rule, class T, std::size_t... I>
struct RuleSweep<Isa, Rule, T, std::index_sequence<I...>> {
    static void run(const void* constants, double grad_scale, std::int64_t count, std::int64_t following, void* param,
                    const void* grad, [[maybe_unused]] void* const* state) noexcept {
        using Step = typename Rule::template Step<T>;
        const auto& step = *static_cast<const Step*>(constants);
        const auto with = [&](auto has_l2) {
            sweep_elements<Isa, Rule, has_l2.value, T>(step, static_cast<T>(grad_scale), count, following,
                                                       static_cast<T*>(param), static_cast<const T*>(grad),
                                                       static_cast<T*>(state[I])...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }
};

}  // namespace detail

/// The sweep of one rule over arrays of its compute type T.
template <class Isa, class Rule, class T>
inline constexpr DenseSweep dense_sweep{detail::RuleSweep<Isa, Rule, T, rule::ElementArrays<Rule>>::run,
                                        detail::access_of<Rule>(rule::update_reads<Rule>, rule::update_writes<Rule>)};

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

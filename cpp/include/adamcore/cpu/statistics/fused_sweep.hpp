#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/statistics/lanes.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/rule/check.hpp"
#include "adamcore/rule/second_moment.hpp"

ADAMCORE_LOOPS_BEGIN

/// Sweeps that observe what they update, element by element. From memory they take little more time than the update alone,
/// which separate loops cannot: a processor waits for memory in one loop while it could compute the next.
namespace adamcore::cpu {

/// What a fused sweep sums: squares of gradients, weights and changes; then also the parts `extremes` and `agreement`; and
/// then `seconds`.
enum class Depth : std::uint8_t { norms, agreement, all };
inline constexpr std::size_t depth_count = 3;

/// The least depth with these parts.
constexpr Depth depth_for(unsigned parts) {
    if ((parts & statistics::seconds) != 0) return Depth::all;
    return (parts & (statistics::extremes | statistics::agreement)) != 0 ? Depth::agreement : Depth::norms;
}

/// Updates a leaf, `count` elements of dense float32 arrays, as DenseSweep::run does, and writes its sums.
using FusedSweep = void (*)(const void* constants, double grad_scale, std::int64_t count, void* param, const void* grad,
                            void* const* state, double floor, statistics::Sums& leaf) noexcept;

namespace detail {

/// How many elements ahead these sweeps prefetch. The value was measured.
inline constexpr std::int64_t fused_ahead = 256;

/// Whether a rule has fused sweeps: its update changes all its state, without passes before.
template <class Rule>
inline constexpr bool is_fusible =
    !rule::says_access<Rule> && rule::pass_count<Rule> == 0 && arrays_of_shape<Rule>(rule::Shape::rows) == 0 &&
    arrays_of_shape<Rule>(rule::Shape::columns) == 0;

/// The place of a slot among the arrays with one number for each element, or -1.
template <std::size_t... I>
constexpr int place_among(int slot, std::index_sequence<I...>) {
    int place = -1, at = 0;
    ((static_cast<int>(I) == slot ? void(place = at) : void(), ++at), ...);
    return place;
}

/// One of some arrays.
template <int Place, class First, class... More>
ADAMCORE_FN First* nth(First* first, [[maybe_unused]] More*... more) {
    if constexpr (Place == 0) {
        return first;
    } else {
        return nth<Place - 1>(more...);
    }
}

/// The sums of a leaf that a rule updates. Moments that the rule does not have are not looked at.
template <Depth To, bool HasFirst, bool HasSecond>
struct FusedSums {
    static constexpr bool agrees = To != Depth::norms && HasFirst, squares = To == Depth::all && HasSecond;

    LaneTotals<float> of;
    float was[sums::lanes], old[sums::lanes];

    ADAMCORE_FN FusedSums() {}

    /// Keeps what an update of elements [at, at + lanes) will overwrite.
    ADAMCORE_FN void keep(std::int64_t at, int lanes, const float* param, [[maybe_unused]] const float* first) {
        for (int lane = 0; lane < lanes; ++lane) was[lane] = param[at + lane];
        if constexpr (agrees) {
            for (int lane = 0; lane < lanes; ++lane) old[lane] = first[at + lane];
        }
    }

    ADAMCORE_FN void add(std::int64_t at, int lanes, const float* param, const float* grad,
                         [[maybe_unused]] const float* second, [[maybe_unused]] float floor) {
        for (int lane = 0; lane < lanes; ++lane) {
            const float g = grad[at + lane];
            of.add_change(was[lane], param[at + lane], lane);
            of.add_square(g, lane);
            if constexpr (To != Depth::norms) of.add_extremes(g, lane);
            if constexpr (agrees) of.add_agreement(old[lane], g, lane);
            if constexpr (squares) of.add_second(second[at + lane], floor, lane);
        }
    }

    ADAMCORE_FN void store(statistics::Sums& leaf) {
        leaf.grads = {sums::total(of.grads), 0};
        leaf.weights = sums::total(of.weights);
        leaf.updates = sums::total(of.updates);
        if constexpr (To != Depth::norms) {
            leaf.largest = of.largest_grad();
            leaf.zeros = of.count_of(of.zeros);
        }
        if constexpr (agrees) {
            leaf.products = sums::total(of.products);
            leaf.firsts = sums::total(of.firsts);
        }
        if constexpr (squares) {
            leaf.seconds = sums::total(of.seconds);
            leaf.below = of.count_of(of.below);
        }
    }
};

/// (Each round of lanes is updated first, and then summed: in one loop, compilers run out of registers.)
template <class Rule, bool HasL2, Depth To, class... State>
ADAMCORE_FN void update_and_sum(const typename Rule::template Step<float>& constants, float grad_scale,
                                std::int64_t count, float floor, statistics::Sums& leaf, float* ADAMCORE_RESTRICT param,
                                const float* ADAMCORE_RESTRICT grad, State* ADAMCORE_RESTRICT... state) {
    constexpr int first = place_among(rule::first_moment<Rule>(), rule::ElementArrays<Rule>{});
    constexpr int second = place_among(rule::second_moment<Rule>(), rule::ElementArrays<Rule>{});
    const float *moment = nullptr, *square = nullptr;
    if constexpr (first >= 0) moment = nth<first>(state...);
    if constexpr (second >= 0) square = nth<second>(state...);
    const typename Rule::template Step<float> step = constants;
    FusedSums<To, (first >= 0), (second >= 0)> totals;
    std::int64_t at = 0;
    for (; at + sums::lanes <= count; at += sums::lanes) {
        prefetch_lanes(param + at, fused_ahead);
        prefetch_lanes(grad + at, fused_ahead);
        (prefetch_lanes(state + at, fused_ahead), ...);
        totals.keep(at, sums::lanes, param, moment);
        update_elements<Rule, HasL2, float>(step, grad_scale, at, sums::lanes, param, grad, state...);
        totals.add(at, sums::lanes, param, grad, square, floor);
    }
    const int rest = static_cast<int>(count - at);
    totals.keep(at, rest, param, moment);
    update_elements<Rule, HasL2, float>(step, grad_scale, at, rest, param, grad, state...);
    totals.add(at, rest, param, grad, square, floor);
    totals.store(leaf);
}

template <class Isa, class Rule, Depth To, class Slots>
struct RuleFused;

template <class Isa, class Rule, Depth To, std::size_t... I>
struct RuleFused<Isa, Rule, To, std::index_sequence<I...>> {
    static void run(const void* constants, double grad_scale, std::int64_t count, void* param, const void* grad,
                    [[maybe_unused]] void* const* state, double floor, statistics::Sums& leaf) noexcept {
        using Step = typename Rule::template Step<float>;
        const auto& step = *static_cast<const Step*>(constants);
        const auto with = [&](auto has_l2) {
            update_and_sum<Rule, has_l2.value, To>(step, static_cast<float>(grad_scale), count, bound_in<float>(floor),
                                                   leaf, static_cast<float*>(param), static_cast<const float*>(grad),
                                                   static_cast<float*>(state[I])...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }
};

/// (Processors that have only the baseline are so rare that these sweeps would only make programs larger.)
template <class Isa, class Rule, Depth To>
constexpr FusedSweep fused_sweep_of() {
    if constexpr (is_fusible<Rule> && !std::is_same_v<Isa, isa::Baseline>)
        return RuleFused<Isa, Rule, To, rule::ElementArrays<Rule>>::run;
    return nullptr;
}

}  // namespace detail

/// The fused sweeps of a rule, by depth. Null if it has none.
struct FusedSweeps {
    FusedSweep of[depth_count];
};
template <class Isa, class Rule>
inline constexpr FusedSweeps fused_sweeps{{detail::fused_sweep_of<Isa, Rule, Depth::norms>(),
                                           detail::fused_sweep_of<Isa, Rule, Depth::agreement>(),
                                           detail::fused_sweep_of<Isa, Rule, Depth::all>()}};

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

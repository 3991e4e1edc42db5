#pragma once

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {
namespace detail {

template <class Rule, class T, class Pass, bool IsDense>
constexpr PassLaunches visit_launches_of() {
    PassLaunches launches;
    if constexpr (rule::is_tabular<Pass>) {
        launches.parts = kernel_in_phases<VisitParts<Rule, T, Pass, IsDense>>;
        launches.matrices = kernel_in_phases<VisitMatrices<Rule, T, Pass, IsDense>>;
    } else {
        launches.visit = kernel_in_phases<Visit<Rule, T, Pass, IsDense>>;
    }
    return launches;
}

template <class Rule, class T, class Pass, int place>
constexpr ConclusionLaunches conclude_launches_of() {
    ConclusionLaunches launches;
    if constexpr (rule::is_tabular<Pass>) {
        launches.rows = kernel_alone<Rows<Rule, T, Pass>>;
        launches.spread = kernel_alone<Spread<Rule, T, Pass>>;
    } else {
        launches.conclude = kernel_alone<Conclude<Rule, T, Pass>>;
        if constexpr (rule::sums_over<Pass>(rule::Over::all))
            launches.agree = kernel_in_phases<Agree<Rule, Pass, place>>;
    }
    return launches;
}

template <class Rule, class T, bool IsDense, class... Pass>
constexpr std::array<PassLaunches, rule::max_passes> visit_launches_of(rule::Passes<Pass...>) {
    return {visit_launches_of<Rule, T, Pass, IsDense>()...};
}

template <class Rule, class T, int place, class... Pass>
constexpr std::array<ConclusionLaunches, rule::max_passes> conclude_launches_of(rule::Passes<Pass...>) {
    return {conclude_launches_of<Rule, T, Pass, place>()...};
}

}  // namespace detail

template <class T, bool IsDense, class... Rules>
constexpr VisitLaunches visits_of(rule::List<Rules...>) {
    return {detail::visit_launches_of<Rules, T, IsDense>(rule::passes_of<Rules>{})...};
}

template <class T, class... Rules, std::size_t... I>
constexpr ConcludeLaunches conclusions_of(rule::List<Rules...>, std::index_sequence<I...>) {
    return {detail::conclude_launches_of<Rules, T, static_cast<int>(I)>(rule::passes_of<Rules>{})...};
}

}  // namespace adamcore::cuda

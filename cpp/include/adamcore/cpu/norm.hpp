#pragma once

#include <algorithm>
#include <cstdint>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/plan.hpp"

/// Norms of many arrays in one pass, computed on the pool. Part of adamcore::kernels. Nothing here allocates.
namespace adamcore::cpu {

/// Divides the measuring of arrays into parts, at leaves. Returns the number of parts; `cuts` has room for max_parts +
/// 1 positions. Writes the index of each array's first leaf to `first_leaf`, which has one more element for the end.
inline int plan_norm(const norm::Reading* arrays, std::int64_t count, int threads, plan::Cut* cuts,
                     std::int64_t* first_leaf) noexcept {
    const auto size = [&](std::int64_t i) { return arrays[i].size; };
    std::int64_t work = 0, leaves = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        first_leaf[i] = leaves;
        leaves += sums::leaves_of(arrays[i].size);
        work += work_of(arrays[i]);
    }
    first_leaf[count] = leaves;
    const int parts = parts_for(work, threads);
    plan::split(size, count, parts, cuts, sums::leaf);
    return parts;
}

/// Fills `leaves`, which has first_leaf[count] elements, with the sums of squares of arrays cut by plan_norm.
template <class Pool>
void measure(const Kernels& kernels, const norm::Reading* arrays, const plan::Cut* cuts, int parts, const Pool& pool,
             const std::int64_t* first_leaf, norm::Squares* leaves) noexcept {
    const auto size = [&](std::int64_t i) { return arrays[i].size; };
    detail::run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            kernels.measure(arrays[i], begin, end, leaves + first_leaf[i] + begin / sums::leaf);
        };
    });
}

/// Adds up the leaves of each array. `totals` may be the same array as `leaves`.
inline void add_leaves(std::int64_t count, const std::int64_t* first_leaf, norm::Squares* leaves,
                       norm::Squares* totals) noexcept {
    const FloatEnvironment environment;
    for (std::int64_t i = 0; i < count; ++i)
        totals[i] = sums::sum_pairs(leaves + first_leaf[i], first_leaf[i + 1] - first_leaf[i]);
}

/// Multiplies arrays in place by `factor` and clips them to [-limit, limit]. If they `are_squares` of state, rounding makes
/// none of them 0.
template <class Pool>
void rescale(const Kernels& kernels, const norm::Reading* arrays, const plan::Cut* cuts, int parts, const Pool& pool,
             Scale factor, double limit, bool are_squares = false) noexcept {
    const auto size = [&](std::int64_t i) { return arrays[i].size; };
    detail::run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            kernels.rescale(arrays[i], begin, end, factor, limit, are_squares);
        };
    });
}

}  // namespace adamcore::cpu

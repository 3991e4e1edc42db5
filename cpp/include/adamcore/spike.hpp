#pragma once

#include <algorithm>
#include <cstddef>

#include "adamcore/math.hpp"
#include "adamcore/power.hpp"

/// Which norm of gradients is a spike, given those of the steps before. All logarithms are to base 2, and sorted. The
/// calling thread must be in a cpu::FloatEnvironment.
namespace adamcore::spike {

/// The median of `count` > 0 sorted numbers.
inline double median(const double* sorted, std::size_t count) noexcept {
    const double upper = sorted[count / 2];
    return count % 2 ? upper : 0.5 * (sorted[count / 2 - 1] + upper);
}

/// The median of the distances of `count` > 0 sorted numbers from `middle`.
inline double median_distance(const double* sorted, std::size_t count, double middle) noexcept {
    auto above = static_cast<std::size_t>(std::lower_bound(sorted, sorted + count, middle) - sorted);
    std::size_t below = above;
    double before = 0, last = 0;
    for (std::size_t taken = 0; taken <= count / 2; ++taken) {  // the nearest ones, one after the other
        const bool goes_down = below > 0 && (above == count || middle - sorted[below - 1] <= sorted[above] - middle);
        before = last;
        last = goes_down ? middle - sorted[--below] : sorted[above++] - middle;
    }
    return count % 2 ? last : 0.5 * (before + last);
}

/// The largest norm that is no spike: the median of `count` > 0 norms, multiplied by e^(k max(s, 0.05)), where s is the
/// standard deviation of their natural logarithms as the median distance from the median estimates it.
inline double largest_usual_norm(const double* logs, std::size_t count, double k) noexcept {
    constexpr double deviation_over_distance = 1.4826;
    constexpr double least_deviation = 0x1.2776c50ef9bfep-4;  // 0.05 / ln 2
    const double middle = median(logs, count);
    const double deviation = deviation_over_distance * median_distance(logs, count, middle);
    return power::exp2(middle + k * math::max(deviation, least_deviation));
}

}  // namespace adamcore::spike

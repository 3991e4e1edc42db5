#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

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
    const auto below = static_cast<std::size_t>(std::lower_bound(sorted, sorted + count, middle) - sorted);
    const std::size_t above = count - below, nearer = count / 2;
    const auto down = [&](std::size_t i) { return middle - sorted[below - 1 - i]; };
    const auto up = [&](std::size_t i) { return sorted[below + i] - middle; };
    // How many of the `nearer` numbers that are nearest lie below: as few as possible.
    std::size_t least = nearer > above ? nearer - above : 0, most = std::min(nearer, below);
    while (least < most) {
        const std::size_t i = least + (most - least) / 2;
        if (down(i) < up(nearer - i - 1)) {
            least = i + 1;
        } else {
            most = i;
        }
    }
    const std::size_t others = nearer - least;
    constexpr double none = std::numeric_limits<double>::infinity();
    const double next = std::min(least < below ? down(least) : none, others < above ? up(others) : none);
    if (count % 2) return next;
    const double last = std::max(least > 0 ? down(least - 1) : 0, others > 0 ? up(others - 1) : 0);
    return 0.5 * (last + next);
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

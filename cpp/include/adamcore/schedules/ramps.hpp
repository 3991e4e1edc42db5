#pragma once

#include <cstddef>

#include "adamcore/math.hpp"
#include "adamcore/schedules/arithmetic.hpp"

namespace adamcore::schedules {

/// start + (end - start) u, where u = min(max(t - begin, 0), steps) / steps, for steps > 0.
struct Linear {
    double start, end, steps, begin = 0;

    ADAMCORE_FN double operator()(double t) const noexcept { return between(start, end, share_of(t - begin, steps)); }
};

/// end + (start - end) (1 - u)^power, with Linear's u, for power >= 0.
struct Polynomial {
    double start, end, steps, power = 1, begin = 0;

    ADAMCORE_FN double operator()(double t) const noexcept {
        return between(end, start, power_of(1 - share_of(t - begin, steps), power));
    }
};

/// What follows the last step of Cosine.
enum class After {
    hold,    ///< `end`
    mirror,  ///< It rises to `start` and falls again, and so on.
};

/// end + (start - end) ((1 + cos(pi u)) / 2)^power, where u = t / steps, for steps > 0 and power >= 0.
struct Cosine {
    double start, end, steps, power = 1;
    After after = After::hold;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const double u = after == After::hold ? share_of(t, steps) : t / steps;
        return between(end, start, power_of(half_cosine(u), power));
    }
};

/// The path from one point of Interpolate to the next.
enum class Path { linear, cosine };

/// Passes through the points (times[i], values[i]). The first value holds before them, and the last one after them.
/// `times` increases strictly.
struct Interpolate {
    const double* times;
    const double* values;
    std::size_t count;  ///< > 0
    Path shape = Path::linear;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const std::size_t next = count_up_to(t, times, count);
        if (next == 0) return values[0];
        if (next == count) return values[count - 1];
        const double share = (t - times[next - 1]) / (times[next] - times[next - 1]);
        if (shape == Path::linear) return between(values[next - 1], values[next], share);
        return between(values[next], values[next - 1], half_cosine(share));
    }
};

}  // namespace adamcore::schedules

#pragma once

#include <cstddef>

#include "adamcore/math.hpp"
#include "adamcore/schedules/arithmetic.hpp"

namespace adamcore::schedules {

/// start + (end - start) u, where u = min(max(t - begin, 0), steps) / steps, for steps > 0.
struct Linear {
    double start, end, steps, begin = 0;

    ADAMCORE_FN double operator()(double t) const noexcept { return on_line(start, end, t - begin, steps); }
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

/// A way from one value to another.
enum class Path { linear, cosine };

/// The value after `t` of `steps` steps on this way.
ADAMCORE_FN double along(Path path, double from, double to, double t, double steps) noexcept {
    if (path == Path::linear) return on_line(from, to, t, steps);
    return between(to, from, half_cosine(share_of(t, steps)));
}

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
        const double passed = t - times[next - 1], length = times[next] - times[next - 1];
        return along(shape, values[next - 1], values[next], passed, length);
    }
};

}  // namespace adamcore::schedules

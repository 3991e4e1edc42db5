#pragma once

#include <cstddef>

#include "adamcore/math.hpp"
#include "adamcore/schedules/arithmetic.hpp"

namespace adamcore::schedules {

/// How a cool-down falls from 1 to 0, where r is the share of it that is done. A warm-up rises by 1 minus this.
enum class Shape {
    sqrt,    ///< 1 - sqrt(r)
    linear,  ///< 1 - r
    cosine,  ///< (1 + cos(pi r)) / 2
    square,  ///< 1 - r^2
};

/// The share of a warm-up's or a cool-down's way that is covered when `r` of its time has passed.
ADAMCORE_FN double covered(Shape shape, double r) noexcept {
    switch (shape) {
        case Shape::sqrt: return math::sqrt(r);
        case Shape::cosine: return 1 - half_cosine(r);
        case Shape::square: return r * r;
        case Shape::linear: break;
    }
    return r;
}

/// The value after `t` of `steps` steps from one value to another.
ADAMCORE_FN double along(Shape shape, double from, double to, double t, double steps) noexcept {
    if (shape == Shape::linear) return on_line(from, to, t, steps);
    return between(from, to, covered(shape, share_of(t, steps)));
}

/// Rises to `schedule(0)` in `steps` steps, and goes on with schedule(t - steps). steps > 0.
///
/// It begins with peak / steps, so that no step is wasted, or from `start`, if `has_start`.
template <class S>
struct Warmup {
    S schedule;
    double steps;
    bool has_start = false;
    double start = 0;
    Shape shape = Shape::linear;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) {
        if (t >= steps) return schedule(t - steps);
        const double peak = schedule(0);
        return has_start ? along(shape, start, peak, t, steps) : along(shape, 0, peak, t + 1, steps);
    }
};

/// Falls from `schedule(at)` to `end` in `steps` steps after step `at`. steps > 0.
template <class S>
struct Cooldown {
    S schedule;
    double at, steps, end = 0;
    Shape shape = Shape::sqrt;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) {
        if (t < at) return schedule(t);
        if (t - at >= steps) return end;
        return along(shape, schedule(at), end, t - at, steps);
    }
};

/// Warm-up, constant, and cool-down to `end` over the last `decay` of `steps` steps. warmup + decay <= steps.
struct WSD {
    double peak, steps, warmup, decay, end = 0;
    Shape shape = Shape::sqrt;

    ADAMCORE_FN double operator()(double t) const noexcept {
        if (t < warmup) return on_line(0, peak, t + 1, warmup);
        if (t >= steps) return end;
        return along(shape, peak, end, t - (steps - decay), decay);
    }
};

/// schedules[i](t - boundaries[i - 1]), where i is the number of boundaries <= t. Each schedule has a clock that begins
/// with it. There is one schedule more than boundaries, which are sorted.
template <class S>
struct Join {
    const S* schedules;
    const double* boundaries;
    std::size_t count;  ///< of boundaries

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedules[0](t))) {
        const std::size_t i = count_up_to(t, boundaries, count);
        return schedules[i](i == 0 ? t : t - boundaries[i - 1]);
    }
};

}  // namespace adamcore::schedules

#pragma once

#include <cstddef>

#include "adamcore/math.hpp"
#include "adamcore/schedules/arithmetic.hpp"

namespace adamcore::schedules {

/// The same value at every `t`.
struct Constant {
    double value;

    ADAMCORE_FN double operator()(double /*t*/) const noexcept { return value; }
};

/// value * gamma^floor(t / every), for every > 0 and gamma >= 0.
struct StepDecay {
    double value, every, gamma = 0.1;

    ADAMCORE_FN double operator()(double t) const noexcept { return value * power_of(gamma, floor(t / every)); }
};

/// value * gamma^n, where n is the number of milestones <= t. They are sorted; gamma >= 0.
struct MultiStep {
    double value;
    const double* milestones;
    std::size_t count;
    double gamma = 0.1;

    ADAMCORE_FN double operator()(double t) const noexcept {
        return value * power_of(gamma, static_cast<double>(count_up_to(t, milestones, count)));
    }
};

/// value * gamma^(max(t - begin, 0) / every), for every > 0 and gamma >= 0. It does not pass `end`, if `is_bounded`: the
/// value is at least `end` if gamma < 1, and at most `end` otherwise.
struct Exponential {
    double value, gamma, every = 1;
    bool staircase = false;
    double begin = 0;
    bool is_bounded = false;
    double end = 0;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const double x = math::max(t - begin, 0.0) / every;
        const double reached = value * power_of(gamma, staircase ? floor(x) : x);
        if (!is_bounded) return reached;
        return gamma < 1 ? math::max(reached, end) : math::min(reached, end);
    }
};

/// value / sqrt(1 + t / timescale), for timescale > 0.
struct InverseSqrt {
    double value, timescale;

    ADAMCORE_FN double operator()(double t) const noexcept { return value / math::sqrt(1 + t / timescale); }
};

/// value / (1 + rate * t / every), for rate >= 0 and every > 0.
struct InverseTime {
    double value, rate, every = 1;
    bool staircase = false;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const double x = t / every;
        return value / (1 + rate * (staircase ? floor(x) : x));
    }
};

/// values[number of boundaries <= t]. There is one value more than boundaries, which are sorted.
struct Piecewise {
    const double* values;
    const double* boundaries;
    std::size_t count;  ///< of boundaries

    ADAMCORE_FN double operator()(double t) const noexcept { return values[count_up_to(t, boundaries, count)]; }
};

}  // namespace adamcore::schedules

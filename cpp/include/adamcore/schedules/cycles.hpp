#pragma once

#include <cstdint>
#include <limits>

#include "adamcore/math.hpp"
#include "adamcore/power.hpp"
#include "adamcore/schedules/arithmetic.hpp"
#include "adamcore/schedules/ramps.hpp"

namespace adamcore::schedules {

/// A half cosine from `start` to `end` in each period. Each period is `mult` times as long as the one before it, and its
/// start is multiplied by `decay`. period > 0, mult >= 1, decay >= 0.
///
/// Period n begins at period * (mult^n - 1) / (mult - 1). This is exact if period and mult are integers and mult^n is
/// below 2^53, and rounded to about an ulp otherwise.
struct CosineRestarts {
    double start, end, period, mult = 1, decay = 1;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const Period now = mult == 1 ? equal_period(t) : growing_period(t);
        return between(end, start * power_of(decay, now.number), half_cosine(now.share));
    }

private:
    struct Period {
        double number, share;
    };

    ADAMCORE_FN Period equal_period(double t) const noexcept {
        const Division division = divide(t, period);
        return {division.count, division.rest / period};
    }

    ADAMCORE_FN Period growing_period(double t) const noexcept {
        const double ratio = math::min(t / period * (mult - 1), std::numeric_limits<double>::max());
        double number = floor(power::log2(1 + ratio) / power::log2(mult));
        Extent extent = extent_of(number);
        // The logarithms are rounded, so it can be a neighbour.
        if (t < extent.begin) extent = extent_of(--number);
        if (t >= extent.begin + extent.length) extent = extent_of(++number);
        return {number, share_of(t - extent.begin, extent.length)};
    }

    struct Extent {
        double begin, length;
    };

    ADAMCORE_FN Extent extent_of(double number) const noexcept {
        const WholePower growth = whole_power(mult, static_cast<std::int64_t>(number));
        const std::int64_t power = math::min<std::int64_t>(growth.power, 1023);
        const double factor = scale::times_power(0.5, static_cast<std::int32_t>(power) + 1);
        const double high = growth.number.high * factor, low = growth.number.low * factor;
        return {period * (((high - 1) + low) / (mult - 1)), period * high};
    }
};

/// How the height of Cyclic's triangles changes.
enum class Mode {
    triangular,   ///< It does not.
    triangular2,  ///< Each is half as high as the one before it.
    exp_range,    ///< gamma^t
};

/// Triangles from `low` to `high` in `up` steps and back in `down` steps, both > 0; gamma >= 0.
struct Cyclic {
    double low, high, up, down = up;
    Mode mode = Mode::triangular;
    double gamma = 1;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const Division cycle = divide(t, up + down);
        const double tent = cycle.rest <= up ? cycle.rest / up : (up + down - cycle.rest) / down;
        return between(low, high, tent * height(t, cycle.count));
    }

private:
    ADAMCORE_FN double height(double t, double cycle) const noexcept {
        if (mode == Mode::triangular) return 1;
        return mode == Mode::triangular2 ? power_of(0.5, cycle) : power_of(gamma, t);
    }
};

/// From `start` up to `peak` until step pct_start * steps - 1, then down to `end` at step `steps - 1`, which then holds.
/// With `three_phase` it is down to `start`, as fast as it rose, and then to `end`. steps > 0, pct_start from 0 to 1.
struct OneCycle {
    double peak, steps, start = peak / 25, end = start / 1e4, pct_start = 0.3;
    Path anneal = Path::cosine;
    bool three_phase = false;

    ADAMCORE_FN double operator()(double t) const noexcept {
        const double last = steps - 1, at_peak = pct_start * steps - 1;
        const double x = math::max(math::min(t, last), 0.0);
        if (x <= at_peak) return x < at_peak ? along(anneal, start, peak, x, at_peak) : peak;
        if (!three_phase) return along(anneal, peak, end, x - at_peak, last - at_peak);
        const double at_start = 2 * (pct_start * steps) - 2;
        if (x <= at_start) return along(anneal, peak, start, x - at_peak, at_start - at_peak);
        return along(anneal, start, end, x - at_start, last - at_start);
    }
};

}  // namespace adamcore::schedules

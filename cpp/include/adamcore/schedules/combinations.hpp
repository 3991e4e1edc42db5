#pragma once

#include "adamcore/math.hpp"
#include "adamcore/schedules/arithmetic.hpp"

namespace adamcore::schedules {

template <class A, class B>
struct Product {
    A a;
    B b;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(a(t)) && noexcept(b(t))) { return a(t) * b(t); }
};

template <class A, class B>
struct Sum {
    A a;
    B b;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(a(t)) && noexcept(b(t))) { return a(t) + b(t); }
};

/// Not below `low`, and not above `high`. low <= high; either may be infinite.
template <class S>
struct Clip {
    S schedule;
    double low, high;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) {
        return math::min(high, math::max(low, schedule(t)));
    }
};

/// `n` steps later: schedule(0) holds until then. n >= 0.
template <class S>
struct Shift {
    S schedule;
    double n;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) {
        return schedule(t <= n ? 0 : t - n);
    }
};

/// `k` times as long. k > 0.
template <class S>
struct Stretch {
    S schedule;
    double k;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) { return schedule(t / k); }
};

/// A new value every `n` steps: schedule(floor(t / n)). n > 0.
template <class S>
struct Every {
    S schedule;
    double n;

    ADAMCORE_FN double operator()(double t) const noexcept(noexcept(schedule(t))) { return schedule(floor(t / n)); }
};

}  // namespace adamcore::schedules

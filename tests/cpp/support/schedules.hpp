#pragma once

#include <cstdint>

#include "adamcore/schedule.hpp"
#include "hashes.hpp"

namespace adamcore::test {

/// Whole and fractional, within all phases of the schedules below and long after them.
inline constexpr double schedule_times[] = {
    0,     0.25, 1,    2.5, 5,   7,   9,     10,  11.75, 12,  14,  15,  19.5, 20,        24,        29,  29.5,
    30,    33,   42.5, 50,  58,  59,  60.25, 69,  70,    77,  80,  85,  98.6, 99,        99.999,    100, 101,
    123.4, 150,  199,  200, 250, 333, 500.5, 777, 1000,  1e4, 5e4, 1e5, 1e6,  1e9 + 0.5, 0x1p40 + 1};

/// Calls f(name, schedule) with a schedule of each family, or more where a family has several forms.
template <class F>
void for_each_schedule(F&& f) {
    using namespace schedules;
    static constexpr double points[] = {0, 10, 29.5, 80, 500}, places[] = {10, 30, 30.5, 80};
    static constexpr double numbers[] = {0.3, 0.1, 0.25, 0.01, 0.02};
    static constexpr Cosine parts[] = {{0.1, 0.01, 10}, {0.2, 0.02, 30}, {0.3, 0.03, 7}, {0.4, 0, 50}, {0.5, 0, 99}};
    f("Constant", Constant{0.3});
    f("StepDecay", StepDecay{0.3, 7});
    f("MultiStep", MultiStep{0.3, places, 4, 0.3});
    f("Exponential", Exponential{0.3, 0.97});
    f("Exponential, growing", Exponential{0.3, 1.01, 3, false, 5, true, 0.7});
    f("Exponential, staircase", Exponential{0.3, 0.97, 2.5, true});
    f("Linear", Linear{0.3, 0.01, 77, 3});
    f("Polynomial", Polynomial{0.3, 0.01, 77, 1.7});
    f("Polynomial, whole", Polynomial{0.3, 0.01, 77, 3});
    f("Cosine", Cosine{0.3, 0.01, 77});
    f("Cosine, mirror", Cosine{0.3, 0.01, 77, 1.5, After::mirror});
    f("CosineRestarts", CosineRestarts{0.3, 0.01, 10, 2, 0.9});
    f("CosineRestarts, fractional", CosineRestarts{0.3, 0.01, 7, 1.37, 0.9});
    f("CosineRestarts, equal", CosineRestarts{0.3, 0.01, 7.5});
    f("Cyclic", Cyclic{0.01, 0.3, 4, 6});
    f("Cyclic, triangular2", Cyclic{0.01, 0.3, 4, 6, Mode::triangular2});
    f("Cyclic, exp_range", Cyclic{0.01, 0.3, 4, 6, Mode::exp_range, 0.99});
    f("OneCycle", OneCycle{0.3, 100});
    f("OneCycle, three_phase", OneCycle{0.3, 100, 0.01, 0.001, 0.25, Path::linear, true});
    f("InverseSqrt", InverseSqrt{0.3, 40});
    f("InverseTime", InverseTime{0.3, 0.05, 3});
    f("Piecewise", Piecewise{numbers, places, 4});
    f("Interpolate, linear", Interpolate{points, numbers, 5});
    f("Interpolate, cosine", Interpolate{points, numbers, 5, Path::cosine});
    for (const Shape shape : {Shape::sqrt, Shape::linear, Shape::cosine, Shape::square}) {
        f("Warmup", Warmup<InverseSqrt>{{0.3, 40}, 40, false, 0, shape});
        f("Warmup, start", Warmup<Cosine>{{0.3, 0.01, 77}, 20, true, 0.1, shape});
        f("WSD", WSD{0.3, 100, 10, 20, 0.001, shape});
        f("Cooldown", Cooldown<Cosine>{{0.3, 0.01, 200}, 70, 30, 0.001, shape});
    }
    f("Join", Join<Cosine>{parts, places, 4});
    f("Product", Product<Cosine, Exponential>{{0.3, 0.01, 77}, {0.3, 0.97}});
    f("Sum", Sum<Cosine, Exponential>{{0.3, 0.01, 77}, {0.3, 0.97}});
    f("Clip", Clip<Cosine>{{0.3, 0.01, 77}, 0.02, 0.2});
    f("Shift", Shift<Cosine>{{0.3, 0.01, 77}, 5});
    f("Stretch", Stretch<Cosine>{{0.3, 0.01, 77}, 3});
    f("Every", Every<Cosine>{{0.3, 0.01, 77}, 10});
}

/// The bits of a schedule's values at schedule_times.
template <class S>
std::uint64_t hash_of_schedule(const S& schedule) {
    std::uint64_t hash = hash_start;
    for (const double t : schedule_times) {
        const double value = schedule(t);
        hash = hash_of(&value, sizeof value, hash);
    }
    return hash;
}

}  // namespace adamcore::test

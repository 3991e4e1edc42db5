#include <gtest/gtest.h>
#include <quadmath.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "adamcore/schedule.hpp"

/// Schedules against their formulas with 113 bits, for random arguments.
namespace adamcore::schedules {
namespace {

__extension__ using Quad = __float128;

class Draw {
public:
    double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
    double whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
    /// A learning rate, or nearly anything else that is positive.
    double rate() { return std::exp2(uniform(-30, 3)); }

private:
    std::mt19937_64 random_{29};
};

/// Units in the last place of `scale`, the largest value of the schedule. `growth` is by how much a rounding of the
/// arguments can grow on its way to the result.
double ulps(double result, Quad exact, double scale, double growth) {
    int exponent;
    std::frexp(scale, &exponent);
    return static_cast<double>(fabsq(result - exact) / ldexpq(1, exponent - 53)) / growth;
}

template <class One>
void expect_accurate(const char* name, One&& one) {
    Draw draw;
    double worst = 0;
    for (int i = std::getenv("ADAMCORE_EXHAUSTIVE") != nullptr ? 200000 : 20000; i > 0; --i)
        worst = std::max(worst, one(draw));
    std::printf("%s: the largest error is %.2f ulp\n", name, worst);
    EXPECT_LT(worst, 4) << name;
}

Quad half_cosine_of(Quad x) { return (1 + cosq(acosq(-1) * x)) / 2; }

Quad clipped(Quad x) { return fminq(fmaxq(x, 0), 1); }

TEST(ScheduleAccuracy, OfPolynomial) {
    expect_accurate("Polynomial", [](Draw& draw) {
        const Polynomial s{draw.rate(), draw.rate(), draw.whole(1, 1000), draw.uniform(0.1, 5), draw.whole(0, 50)};
        const double t = draw.uniform(0, 1200);
        const Quad left = 1 - clipped((Quad(t) - s.begin) / s.steps);
        // A rounding of 1 - u is large beside 1 - u where that is small.
        const Quad steep = s.power < 1 && left > 0 ? fmaxq(1, powq(left, s.power - 1)) : Quad(1);
        const Quad exact = s.end + (Quad(s.start) - s.end) * powq(left, s.power);
        return ulps(s(t), exact, std::fmax(s.start, s.end), s.power + static_cast<double>(steep));
    });
}

TEST(ScheduleAccuracy, OfCosine) {
    expect_accurate("Cosine", [](Draw& draw) {
        const After after = draw.whole(0, 1) ? After::hold : After::mirror;
        const Cosine s{draw.rate(), draw.rate(), draw.whole(1, 1000), draw.whole(1, 3), after};
        const double t = draw.uniform(0, 1200);
        const Quad u = after == After::hold ? clipped(Quad(t) / s.steps) : Quad(t) / s.steps;
        const Quad exact = s.end + (Quad(s.start) - s.end) * powq(half_cosine_of(u), s.power);
        return ulps(s(t), exact, std::fmax(s.start, s.end), s.power * (1 + static_cast<double>(u)));
    });
}

TEST(ScheduleAccuracy, OfExponential) {
    expect_accurate("Exponential", [](Draw& draw) {
        const Exponential s{draw.rate(), draw.uniform(0.6, 1.5), draw.whole(1, 100), draw.whole(0, 1) == 1,
                            draw.whole(0, 50)};
        const double t = draw.whole(0, 1) ? draw.whole(0, 1000) : draw.uniform(0, 1000);
        const Quad x = fmaxq(Quad(t) - s.begin, 0) / s.every;
        const Quad exact = s.value * powq(s.gamma, s.staircase ? floorq(x) : x);
        return ulps(s(t), exact, static_cast<double>(exact), 1 + static_cast<double>(fabsq(x * logq(s.gamma))));
    });
}

TEST(ScheduleAccuracy, OfCosineRestarts) {
    expect_accurate("CosineRestarts", [](Draw& draw) {
        const double mult = draw.whole(0, 1) ? draw.whole(1, 4) : draw.uniform(1, 3);
        const CosineRestarts s{draw.rate(), 0, draw.whole(1, 100), mult, draw.uniform(0.5, 1)};
        const double t = draw.uniform(0, 3000);
        Quad begin = 0, length = s.period, peak = s.start;
        while (t >= begin + length) begin += length, length *= mult, peak *= s.decay;
        const Quad u = (t - begin) / length;
        // Where a period begins is rounded: beside an end of the period, the neighbour's value is as right.
        if (fminq(u, 1 - u) * length < t * 0x1p-50) return 0.0;
        return ulps(s(t), peak * half_cosine_of(u), s.start, 1 + static_cast<double>(t / length));
    });
}

TEST(ScheduleAccuracy, OfCyclic) {
    expect_accurate("Cyclic", [](Draw& draw) {
        const auto mode = static_cast<Mode>(static_cast<int>(draw.whole(0, 2)));
        const Cyclic s{draw.rate(), draw.rate(), draw.whole(1, 50), draw.whole(1, 50), mode, draw.uniform(0.9, 1)};
        const double t = draw.uniform(0, 1000);
        const Quad period = Quad(s.up) + s.down, cycle = floorq(t / period), rest = t - cycle * period;
        const Quad tent = rest <= s.up ? rest / s.up : (period - rest) / s.down;
        const Quad height = mode == Mode::triangular    ? Quad(1)
                            : mode == Mode::triangular2 ? powq(0.5, cycle)
                                                        : powq(s.gamma, t);
        const Quad exact = s.low + (Quad(s.high) - s.low) * tent * height;
        return ulps(s(t), exact, std::fmax(s.low, s.high), 1);
    });
}

TEST(ScheduleAccuracy, OfOneCycle) {
    expect_accurate("OneCycle", [](Draw& draw) {
        const double steps = draw.whole(20, 1000), peak = draw.rate();
        const OneCycle s{peak, steps, peak / 25, peak / 1e5, draw.whole(1, 7) / 8};
        const double t = draw.whole(0, static_cast<int>(steps) - 1);
        const Quad at_peak = Quad(s.pct_start) * steps - 1;
        const bool rises = t <= at_peak;
        const Quad u = rises ? t / at_peak : (t - at_peak) / (steps - 1 - at_peak);
        const Quad from = rises ? s.start : s.peak, to = rises ? s.peak : s.end;
        return ulps(s(t), to + (from - to) * half_cosine_of(u), peak, 1);
    });
}

TEST(ScheduleAccuracy, OfWarmupAndCooldown) {
    expect_accurate("WSD and Cooldown", [](Draw& draw) {
        const auto shape = static_cast<Shape>(static_cast<int>(draw.whole(0, 3)));
        const WSD s{draw.rate(), 1000, draw.whole(1, 400), draw.whole(1, 400), draw.rate(), shape};
        const Cooldown<Constant> c{{s.peak}, 1000 - s.decay, s.decay, s.end, shape};
        const double t = draw.whole(0, 1) ? draw.whole(0, 1000) : draw.uniform(600, 1000);
        const Quad r = clipped((t - (1000 - Quad(s.decay))) / s.decay);
        const Quad left = shape == Shape::sqrt     ? 1 - sqrtq(r)
                          : shape == Shape::linear ? 1 - r
                          : shape == Shape::cosine ? half_cosine_of(r)
                                                   : 1 - r * r;
        const Quad exact = s.end + (s.peak - Quad(s.end)) * left, scale = fmaxq(s.peak, s.end);
        const Quad rising = s.peak * fminq((Quad(t) + 1) / s.warmup, 1);
        const double largest = static_cast<double>(scale);
        return std::max(ulps(s(t), t < s.warmup ? rising : exact, largest, 1), ulps(c(t), exact, largest, 1));
    });
}

TEST(ScheduleAccuracy, OfInverseSqrtAndInverseTime) {
    expect_accurate("InverseSqrt and InverseTime", [](Draw& draw) {
        const InverseSqrt s{draw.rate(), draw.uniform(1, 1000)};
        const InverseTime i{s.value, draw.uniform(0, 1), draw.whole(1, 50)};
        const double t = draw.uniform(0, 1e5);
        const Quad root = s.value / sqrtq(1 + Quad(t) / s.timescale);
        const Quad time = i.value / (1 + i.rate * Quad(t) / i.every);
        return std::max(ulps(s(t), root, static_cast<double>(root), 1), ulps(i(t), time, static_cast<double>(time), 1));
    });
}

}  // namespace
}  // namespace adamcore::schedules

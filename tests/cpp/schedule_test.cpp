#include "adamcore/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <type_traits>

#include "support/schedules.hpp"

namespace adamcore::schedules {
namespace {

/// Compares with a number that has been written down with 12 digits.
template <class S>
void expect_value(const S& schedule, double t, double expected) {
    EXPECT_NEAR(schedule(t), expected, 5e-12 * std::fabs(expected)) << "t = " << t;
}

template <class S, std::size_t count>
void expect_values(const S& schedule, const double (&points)[count][2]) {
    for (const auto& [t, expected] : points) expect_value(schedule, t, expected);
}

TEST(Schedule, CosineHasTheGoldenNumbers) {
    const Cosine holds{0.1, 0.01, 100};
    expect_values(holds, {{1, 0.0999777952165}, {50, 0.055}, {99, 0.0100222047835}});
    EXPECT_EQ(holds(0), 0.1);
    EXPECT_EQ(holds(100), 0.01);
    EXPECT_EQ(holds(150), 0.01);
    const Cosine mirrored{0.1, 0.01, 100, 1, After::mirror};
    expect_value(mirrored, 150, 0.055);
    EXPECT_EQ(mirrored(200), 0.1);
}

TEST(Schedule, CosineRestartsHasTheGoldenNumbers) {
    const CosineRestarts restarts{0.1, 0, 10, 2};
    expect_values(restarts, {{9, 0.00244717418524}, {29, 0.000615582970243}, {69, 0.000154133313344}});
    for (const double t : {0, 10, 30, 70, 150}) EXPECT_EQ(restarts(t), 0.1);
}

TEST(Schedule, CyclicHasTheGoldenNumbers) {
    const Cyclic halved{0.01, 0.1, 4, 6, Mode::triangular2};
    expect_values(halved, {{4, 0.1}, {9, 0.025}, {10, 0.01}, {14, 0.055}, {24, 0.0325}});
    const Cyclic decayed{0.01, 0.1, 5, 5, Mode::exp_range, 0.99};
    expect_values(decayed, {{5, 0.095589104491}, {15, 0.0874052519177}});
}

TEST(Schedule, OneCycleHasTheGoldenNumbers) {
    const OneCycle cosine{0.1, 100};
    expect_values(cosine, {{0, 0.004}, {15, 0.0545986676121}, {29, 0.1}, {60, 0.0589280090286}, {99, 4e-7}});
    OneCycle three{0.1, 100};
    three.anneal = Path::linear;
    three.three_phase = true;
    expect_values(three, {{29, 0.1}, {58, 0.004}, {59, 0.00390244878049}, {99, 4e-7}});
}

TEST(Schedule, MultiStepHasTheGoldenNumbers) {
    const double milestones[] = {30, 30, 80};
    const MultiStep schedule{0.1, milestones, 3};
    expect_values(schedule, {{29, 0.1}, {30, 0.001}, {80, 0.0001}});
}

TEST(Schedule, WsdHasTheGoldenNumbers) {
    const WSD schedule{0.1, 100, 10, 20};
    expect_values(schedule, {{0, 0.01}, {85, 0.05}, {99, 0.00253205655191}});
    for (int t = 9; t <= 80; ++t) EXPECT_EQ(schedule(t), 0.1);
    EXPECT_EQ(schedule(100), 0);
}

TEST(Schedule, WarmupHasTheGoldenNumbers) {
    const Warmup<InverseSqrt> rooted{{0.1, 40}, 40};
    expect_values(rooted, {{0, 0.0025}, {39, 0.1}, {120, 0.057735026919}});
    const Warmup<Cosine> from_zero{{0.1, 0.01, 80}, 20, true, 0.0};
    expect_values(from_zero, {{1, 0.005}, {50, 0.0722207544564}, {99, 0.0100346933692}});
}

TEST(Schedule, InterpolateHasTheGoldenNumbers) {
    const double times[] = {0, 30, 100}, values[] = {0.004, 0.1, 4e-7};
    const Interpolate schedule{times, values, 3, Path::cosine};
    expect_values(schedule, {{1, 0.00426294902232}, {50, 0.081174565395}});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(schedule(times[i]), values[i]);
}

/// They are arguments and nothing else: no memory to allocate, and nothing that changes.
TEST(Schedule, EveryFamilyIsAPlainStructOfFiniteValues) {
    test::for_each_schedule([](const char* name, const auto& schedule) {
        using S = std::decay_t<decltype(schedule)>;
        static_assert(std::is_trivially_copyable_v<S> && std::is_aggregate_v<S>);
        static_assert(noexcept(schedule(0.0)));
        for (const double t : test::schedule_times) {
            const double value = schedule(t);
            EXPECT_TRUE(std::isfinite(value)) << name << ", t = " << t;
            EXPECT_EQ(S(schedule)(t), value) << name << ", t = " << t;
        }
    });
}

/// Powers and quotients that no double or 64-bit integer can hold on the way to a value that is clear.
TEST(Schedule, ExtremeArgumentsLeadToTheirLimits) {
    EXPECT_EQ((Exponential{0.3, 1e-320}(0x1p53 - 1)), 0);
    EXPECT_EQ((Exponential{0.3, 1e300}(0x1p53 - 1)), HUGE_VAL);
    EXPECT_EQ((StepDecay{0.3, 1e-300, 0.5}(1e10)), 0);
    EXPECT_EQ((Polynomial{0.3, 0.1, 1e300, 1e300}(1e290)), 0.1);
    EXPECT_EQ((Cosine{0.3, 0.1, 1e-300}(1e300)), 0.1);
    EXPECT_EQ((Cosine{0.3, 0.1, 1e300}(1)), 0.3);
    EXPECT_EQ((CosineRestarts{0.3, 0, 1e-3, 1e200}(1e10)), 0.3);
    EXPECT_EQ((Cyclic{0.1, 0.3, 1e300, 1e300}(1)), 0.1);
    EXPECT_EQ((InverseTime{0.3, 1e300}(1e300)), 0);
}

TEST(Schedule, CompositionsAreWhatTheirNamesSay) {
    const Cosine cosine{0.1, 0.01, 100};
    const Linear linear{1, 0.5, 50};
    for (const double t : test::schedule_times) {
        EXPECT_EQ((Product<Cosine, Linear>{cosine, linear}(t)), cosine(t) * linear(t));
        EXPECT_EQ((Sum<Cosine, Linear>{cosine, linear}(t)), cosine(t) + linear(t));
        EXPECT_EQ((Clip<Cosine>{cosine, 0.02, 0.05}(t)), std::fmin(std::fmax(cosine(t), 0.02), 0.05));
        EXPECT_EQ((Shift<Cosine>{cosine, 7}(t)), cosine(t < 7 ? 0 : t - 7));
        EXPECT_EQ((Stretch<Cosine>{cosine, 4}(t)), cosine(t / 4));
        EXPECT_EQ((Every<Cosine>{cosine, 10}(t)), cosine(std::floor(t / 10)));
        EXPECT_EQ((Cooldown<Cosine>{cosine, 20, 10}(t)),
                  t < 20    ? cosine(t)
                  : t >= 30 ? 0
                            : cosine(20) + (0 - cosine(20)) * std::sqrt((t - 20) / 10));
    }
    const Cosine parts[] = {{0.1, 0.01, 100}, {0.2, 0.02, 30}};
    const double boundary[] = {12};
    const Join<Cosine> joined{parts, boundary, 1};
    for (const double t : test::schedule_times) EXPECT_EQ(joined(t), t < 12 ? parts[0](t) : parts[1](t - 12));
}

}  // namespace
}  // namespace adamcore::schedules

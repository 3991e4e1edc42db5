#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/norms.hpp"
#include "support/scattered.hpp"

/// What norms are measured for: the factors that gradients are clipped by, and scaling arrays in place.
namespace adamcore::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

norm::Squares squares(const std::vector<double>& numbers) {
    Stored array(Dtype::float64, static_cast<std::int64_t>(numbers.size()));
    for (std::size_t i = 0; i < numbers.size(); ++i) array.set(static_cast<std::int64_t>(i), numbers[i]);
    return squares_of(cpu::best_kernels(), readings_of({array}), 1);
}

TEST(ClipFactor, IsPyTorchs) {
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 1, 1), 1 / (5 + 1e-6));
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 0.5, 2), 2 / (2.5 + 1e-6));
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 1, 5), 5 / (5 + 1e-6));
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 1, 0), 0.0);
}

TEST(ClipFactor, NeverMakesNormsLarger) {
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 1, 5.00001), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({3, 4}), 0.1, 5), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({0, 0}), 1, 1), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({}), 1, 1), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({1e-300}), 1, 1), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({1e308}), 1, infinity), 1.0);
    EXPECT_EQ(norm::clip_factor(squares({1.7e308, 1.7e308}), 1, infinity), 1.0);
}

TEST(ClipFactor, IsOneWhereClippingMendsNothing) {
    for (const double culprit : {infinity, -infinity, nan}) {
        EXPECT_EQ(norm::clip_factor(squares({1, culprit, 1e308}), 1, 1), 1.0);
        EXPECT_EQ(norm::adaptive_factor(squares({culprit}), squares({1}), 1, 1), 1.0);
        EXPECT_EQ(norm::adaptive_factor(squares({1e-3}), squares({culprit, 1e308}), 1, 1), 1.0);
    }
}

/// Also of norms that no double holds.
TEST(ClipFactor, OfHugeNormsBringsThemToTheLimit) {
    constexpr double largest = std::numeric_limits<double>::max();
    for (const std::size_t count : {1u, 3u, 50000u}) {
        const auto huge = squares(std::vector<double>(count, largest));
        for (const double limit : {1e300, 1e10}) {
            for (const double scale : {1.0, 0.5, 16.0}) {
                const long double norm = std::sqrt(static_cast<long double>(count)) * largest * scale;
                EXPECT_LE(relative_error(scale::value(norm::clip_factor(huge, scale, limit)), limit / norm), 1e-14L)
                    << count << " numbers, limit " << limit << ", scale " << scale;
            }
        }
    }
}

/// Factors that no double holds.
TEST(ClipFactor, MayBeSmallerThanAnyDouble) {
    const auto huge = squares(std::vector<double>(4, 1.5e308));
    const Scale factor = norm::clip_factor(huge, 1, 1e-300);
    EXPECT_LT(factor.power, -2000);
    EXPECT_LE(relative_error(scale::value({factor.number, factor.power + 2000}), std::ldexp(1e-300L / 3e308L, 2000)),
              1e-14L);
    const Scale unscaled = norm::clip_factor(huge, 0x1p126, 1e-300) * 0x1p126;
    EXPECT_LE(relative_error(scale::value(unscaled / factor), 1), 1e-14L);
    const Scale adaptive = norm::adaptive_factor(squares({}), huge, 1, 1e-300);
    EXPECT_LE(relative_error(scale::value(adaptive / factor), 1e-3L), 1e-14L);
}

TEST(ClipFactor, OfSubnormalLimitsKeepsTheirDigits) {
    EXPECT_EQ(norm::clip_factor(squares({4}), 1, 0x1.8p-1073), Scale(0x1.8p-1073) / (4 + 1e-6));
    EXPECT_LE(
        relative_error(scale::value(norm::adaptive_factor(squares({1}), squares({0x1p-2}), 1, 0x1p-1074) * 0x1p1000),
                       0x1p-72L),
        1e-14L);
}

TEST(AdaptiveFactor, HoldsGradientsToTheirWeights) {
    const auto weights = squares({6, 8}), grads = squares({3, 4});
    EXPECT_EQ(norm::adaptive_factor(weights, grads, 1, 0.1), 1.0 / 5);
    EXPECT_EQ(norm::adaptive_factor(weights, grads, 8, 0.1), 1.0 / 40);
    EXPECT_EQ(norm::adaptive_factor(weights, grads, 0.125, 0.1), 1.0);
    EXPECT_EQ(norm::adaptive_factor(weights, grads, 1, 0.5), 1.0);
    EXPECT_EQ(norm::adaptive_factor(weights, grads, 1, 0), 0.0);
}

TEST(AdaptiveFactor, CountsSmallWeightsForAThousandth) {
    for (const auto& weights : {squares({0}), squares({1e-4}), squares({})})
        EXPECT_EQ(norm::adaptive_factor(weights, squares({3, 4}), 1, 0.5), 0.5 * 1e-3 / 5);
    EXPECT_EQ(norm::adaptive_factor(squares({2e-3}), squares({3, 4}), 1, 0.5), 1e-3 / 5);
}

/// Nothing is divided by less than 1e-6.
TEST(AdaptiveFactor, OfSmallGradientsIsTheirLimitOverAMillionth) {
    EXPECT_EQ(norm::adaptive_factor(squares({0}), squares({1e-7}), 1, 1e-5), 1e-5 * 1e-3 / 1e-6);
    EXPECT_EQ(norm::adaptive_factor(squares({1}), squares({0}), 1, 0), 1.0);
}

TEST(AdaptiveFactor, OfHugeWeightsLeavesGradientsAlone) {
    EXPECT_EQ(norm::adaptive_factor(squares({1e308, 1.7e308}), squares({1e307}), 1, 1), 1.0);
    EXPECT_LE(relative_error(scale::value(norm::adaptive_factor(squares({1e300}), squares({1e308}), 1, 0.01)), 1e-10L),
              1e-14L);
}

/// Norms that no double holds, of gradients alone and of weights as well.
TEST(AdaptiveFactor, OfHugeNormsBringsThemToTheLimit) {
    const auto huge = squares(std::vector<double>(4, 1.7e308));
    EXPECT_LE(
        relative_error(scale::value(norm::adaptive_factor(squares({1e10}), huge, 1, 0.5)), 0.5e10L / (2 * 1.7e308L)),
        1e-14L);
    EXPECT_LE(relative_error(scale::value(norm::adaptive_factor(huge, huge, 1, 0.01)), 0.01L), 1e-14L);
    EXPECT_EQ(norm::adaptive_factor(huge, squares({1}), 1, 0.01), 1.0);
    EXPECT_EQ(norm::adaptive_factor(squares({1}), huge, 1, infinity), 1.0);
}

constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16};

/// Numbers of all kinds, as the type has them.
Stored numbers_of_all_kinds(Dtype dtype, std::int64_t size) {
    const double special[] = {nan, infinity, -infinity, 0.0, -0.0, 0x1p-24, -0x1p-130, 6e4, -3e38, 1.0, -1.0};
    std::mt19937_64 random(67);
    std::normal_distribution<double> normal;
    Stored array(dtype, size);
    for (std::int64_t i = 0; i < size; ++i) array.set(i, i % 7 == 0 ? special[i / 7 % 11] : normal(random));
    return array;
}

template <class T>
T rescaled(T x, double factor, double limit) {
    const T scaled = x * static_cast<T>(factor);
    if (limit > std::numeric_limits<T>::max()) return scaled;
    const T most = static_cast<T>(limit);
    return scaled > most ? most : scaled < -most ? -most : scaled;
}

/// Elements [begin, end) multiplied, held and rounded one by one.
Stored rescaled_plainly(Stored array, std::int64_t begin, std::int64_t end, double factor, double limit) {
    const Dtype dtype = array.dtype();
    for (std::int64_t i = begin; i < end; ++i) {
        visit_compute(dtype, [&](auto t) {
            using T = decltype(t);
            set_number(array.data(), dtype, i, rescaled(number_at<T>(array.data(), dtype, i), factor, limit));
        });
    }
    return array;
}

struct Piece {
    std::int64_t begin, end;
};

constexpr Piece pieces[] = {{0, 3000}, {0, 1}, {37, 1001}, {256, 512}, {2999, 3000}, {5, 5}};

struct Rescaling {
    double factor, limit;
};

constexpr Rescaling rescalings[] = {{0.3, infinity},  {1, 0.75}, {-1.7, 1.3},         {1e-30, infinity},
                                    {1e30, infinity}, {1, 0},    {1, 0x1.fffffcp127}, {2, 1e300},
                                    {1, infinity},    {3, 1e-9}, {1, 0x1p1023}};

TEST(Rescale, MultipliesAndHoldsDenseArraysInPlace) {
    for (const Dtype dtype : dtypes) {
        const Stored before = numbers_of_all_kinds(dtype, 3000);
        for (const auto [factor, limit] : rescalings) {
            for (const auto [begin, end] : pieces) {
                const Stored expected = rescaled_plainly(before, begin, end, factor, limit);
                for (const cpu::Kernels* kernels : every_kernels()) {
                    Stored actual = before;
                    kernels->rescale({actual.data(), 3000, dtype, {}}, begin, end, factor, limit, false);
                    ASSERT_TRUE(actual.same_numbers(expected))
                        << name_of(dtype) << ", " << name_of(kernels->isa) << ", factor " << factor << ", limit "
                        << limit << ", [" << begin << ", " << end << ")";
                }
            }
        }
    }
}

TEST(Rescale, KeepsNanAndHoldsInfinity) {
    for (const Dtype dtype : dtypes) {
        Stored array(dtype, 3);
        array.set(0, nan);
        array.set(1, infinity);
        array.set(2, -infinity);
        cpu::best_kernels().rescale({array.data(), 3, dtype, {}}, 0, 3, 1, 0.5, false);
        EXPECT_TRUE(std::isnan(array[0]));
        EXPECT_EQ(array[1], 0.5);
        EXPECT_EQ(array[2], -0.5);
    }
}

TEST(Rescale, HoldsInfinityToTheLargestNumberToo) {
    for (const double limit : {double{std::numeric_limits<float>::max()}, std::numeric_limits<double>::max()}) {
        const Dtype dtype = limit < 1e300 ? Dtype::float32 : Dtype::float64;
        Stored array(dtype, 1);
        array.set(0, -infinity);
        cpu::best_kernels().rescale({array.data(), 1, dtype, {}}, 0, 1, 1, limit, false);
        EXPECT_EQ(array[0], -limit);
        array.set(0, infinity);
        cpu::best_kernels().rescale({array.data(), 1, dtype, {}}, 0, 1, 1, infinity, false);
        EXPECT_EQ(array[0], infinity);
    }
}

TEST(Rescale, TouchesNothingBesideStridedElements) {
    std::mt19937 random(71);
    constexpr std::int64_t size = 30030;
    for (const Dtype dtype : dtypes) {
        const Stored before = numbers_of_all_kinds(dtype, size);
        for (const cpu::Kernels* kernels : every_kernels()) {
            const OwnAxes axes = random_axes(size, static_cast<std::int64_t>(size_of(dtype)), random);
            Stored dense = before;
            Scattered strided(before, axes);
            kernels->rescale({dense.data(), size, dtype, {}}, 100, size - 5, 0.3, 0.2, false);
            kernels->rescale({strided.data(), size, dtype, axes.view()}, 100, size - 5, 0.3, 0.2, false);
            EXPECT_TRUE(strided == Scattered(dense, axes)) << name_of(dtype) << ", " << name_of(kernels->isa);
            EXPECT_FALSE(dense == before);
        }
    }
}

TEST(Rescale, OfManyArraysIsThatOfEachWhateverTheThreads) {
    std::vector<Stored> before, expected;
    for (const Dtype dtype : dtypes) {
        for (const std::int64_t size : {60000, 0, 4097}) {
            before.push_back(numbers_of_all_kinds(dtype, size));
            expected.push_back(rescaled_plainly(before.back(), 0, size, 0.7, 0.9));
        }
    }
    const auto count = static_cast<std::int64_t>(before.size());
    for (const int threads : {1, 2, 5}) {
        auto actual = before;
        const auto readings = readings_of(actual);
        plan::Cut cuts[cpu::max_parts + 1];
        std::vector<std::int64_t> first_leaf(readings.size() + 1);
        const int parts = cpu::plan_norm(readings.data(), count, threads, cuts, first_leaf.data());
        ASSERT_EQ(parts > 1, threads > 1);
        cpu::rescale(cpu::best_kernels(), readings.data(), cuts, parts, cpu::Threads{threads}, 0.7, 0.9);
        for (std::size_t i = 0; i < actual.size(); ++i)
            ASSERT_TRUE(actual[i].same_numbers(expected[i])) << "array " << i << ", " << threads << " threads";
    }
}

}  // namespace
}  // namespace adamcore::test

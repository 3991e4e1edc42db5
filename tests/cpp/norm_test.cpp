#include "adamcore/norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support/norms.hpp"
#include "support/scattered.hpp"

/// Norms are the documented sums, bit for bit, for every type, instruction set, number of threads and layout; they are
/// close to the true ones, and neither overflow nor vanish.
namespace adamcore::test {
namespace {

/// A lane adds 128 squares up, its leaf 32 lanes, pairs up to 2^20 leaves; the root halves what errors that makes.
constexpr long double bound = (128 + 5 + 20 + 2) / 2.0L * 0x1p-53L;

constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16};

std::vector<Stored> random_arrays(Dtype dtype, const std::vector<std::int64_t>& sizes) {
    std::mt19937_64 random(53);
    std::normal_distribution<double> normal;
    std::vector<Stored> arrays;
    for (const std::int64_t size : sizes) {
        arrays.emplace_back(dtype, size);
        for (std::int64_t i = 0; i < size; ++i) arrays.back().set(i, normal(random));
    }
    return arrays;
}

const std::vector<std::int64_t> awkward_sizes{0,    1,    31,     32,   33,    255, 256,   4095,
                                              4096, 4097, 100003, 8192, 24581, 0,   70001, 0};

double sum_of_pairs(std::vector<double> terms) {
    while (terms.size() > 1) {
        std::vector<double> sums;
        for (std::size_t i = 0; i + 1 < terms.size(); i += 2) sums.push_back(terms[i] + terms[i + 1]);
        if (terms.size() % 2 != 0) sums.push_back(terms.back());
        terms = sums;
    }
    return terms.empty() ? 0 : terms[0];
}

/// Elements [begin, end) by 32 lanes, of which the first half takes the second's sums, and so on.
double sum_of_leaf(const Stored& array, std::int64_t begin, std::int64_t end) {
    std::vector<double> lanes(32);
    for (std::int64_t i = begin; i < end; ++i) lanes[static_cast<std::size_t>((i - begin) % 32)] += array[i] * array[i];
    for (std::size_t width = 16; width > 0; width /= 2) {
        for (std::size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
    }
    return lanes[0];
}

double documented_sum(const Stored& array) {
    std::vector<double> leaves;
    for (std::int64_t begin = 0; begin < array.size(); begin += 4096)
        leaves.push_back(sum_of_leaf(array, begin, std::min(begin + 4096, array.size())));
    return sum_of_pairs(leaves);
}

TEST(Norm, IsTheDocumentedTreeForEveryTypeInstructionSetAndNumberOfThreads) {
    for (const Dtype dtype : dtypes) {
        auto arrays = random_arrays(dtype, awkward_sizes);
        std::vector<double> sums;
        for (const Stored& array : arrays) sums.push_back(documented_sum(array));
        for (const cpu::Kernels* kernels : every_kernels()) {
            for (int threads = 1; threads <= 7; ++threads) {
                const auto totals = squares_of_each(*kernels, readings_of(arrays), threads);
                for (std::size_t i = 0; i < sums.size(); ++i) {
                    ASSERT_EQ(totals[i].sum, sums[i]) << name_of(dtype) << ", " << name_of(kernels->isa) << ", "
                                                      << threads << " threads, array " << i;
                    ASSERT_EQ(totals[i].power, 0);
                }
                ASSERT_EQ(norm::root(squares_of(*kernels, readings_of(arrays), threads)),
                          std::sqrt(sum_of_pairs(sums)));
            }
        }
    }
}

TEST(Norm, OfArraysOfManyTypesIsTheirSum) {
    std::vector<Stored> arrays;
    std::vector<double> sums;
    for (const Dtype dtype : dtypes) {
        for (const Stored& array : random_arrays(dtype, {50000, 5})) {
            arrays.push_back(array);
            sums.push_back(documented_sum(array));
        }
    }
    EXPECT_EQ(squares_of(cpu::best_kernels(), readings_of(arrays), 3).sum, sum_of_pairs(sums));
}

/// Errors of random numbers cancel.
TEST(Norm, OfRandomNumbersIsAsCloseAsDoublesAre) {
    for (const Dtype dtype : dtypes) {
        auto arrays = random_arrays(dtype, awkward_sizes);
        const double norm = norm::root(squares_of(cpu::best_kernels(), readings_of(arrays), 1));
        EXPECT_LE(relative_error(norm, true_norm(arrays)), 1e-15L) << name_of(dtype);
    }
}

TEST(Norm, DoesNotDependOnWhereElementsLie) {
    std::mt19937 random(59);
    for (const Dtype dtype : dtypes) {
        for (const std::int64_t size : {1, 33, 4097, 30030}) {
            auto dense = random_arrays(dtype, {size});
            const OwnAxes axes = random_axes(size, static_cast<std::int64_t>(size_of(dtype)), random);
            Scattered scattered(dense[0], axes);
            for (const cpu::Kernels* kernels : every_kernels()) {
                const auto expected = squares_of(*kernels, readings_of(dense), 1);
                const auto actual = squares_of(*kernels, {{scattered.data(), size, dtype, axes.view()}}, 2);
                ASSERT_EQ(actual.sum, expected.sum) << name_of(dtype) << ", size " << size;
            }
        }
    }
}

TEST(Norm, OfNothingIsZero) {
    for (const Dtype dtype : dtypes) {
        auto none = random_arrays(dtype, {}), empty = random_arrays(dtype, {0, 0});
        for (auto* arrays : {&none, &empty}) {
            const auto squares = squares_of(cpu::best_kernels(), readings_of(*arrays), 3);
            EXPECT_EQ(norm::root(squares), 0.0);
            EXPECT_TRUE(norm::is_finite(squares));
        }
        Stored zeros(dtype, 5000);
        EXPECT_EQ(norm_of(zeros), 0.0);
    }
}

/// Arrays of doubles whose squares are beyond double's range, or below it, or both.
std::vector<std::vector<double>> extreme_doubles() {
    constexpr double largest = std::numeric_limits<double>::max(), least = std::numeric_limits<double>::denorm_min();
    std::vector<std::vector<double>> all{
        {largest},
        {-largest, 0, 0},
        {1e308, -1e308, 1e308},
        {0, 0, least},
        {least, least, least},
        {0x1p-1022, -0x1p-1022},
        {1e308, least},
        {1e154, 1e-154},
        {0x1p511, 0x1p512, 0x1p513},
        {0x1.5p450, 0x1.7p449, 0x1.9p451},
        {0x1.5p-450, 0x1.7p-449, 0x1.9p-451},
        {1e-160, 1e-170, 1e-200},
    };
    all.emplace_back(20000, 1e305);
    all.emplace_back(20000, 1e-320);
    all.emplace_back(20000, 3e-162);
    return all;
}

Stored doubles(const std::vector<double>& numbers) {
    Stored array(Dtype::float64, static_cast<std::int64_t>(numbers.size()));
    std::memcpy(array.data(), numbers.data(), array.byte_count());
    return array;
}

void expect_close_norm(const Stored& array, const std::string& what) {
    const long double exact = true_norm({array});
    for (const cpu::Kernels* kernels : every_kernels())
        ASSERT_LE(relative_error(norm_of(array, *kernels), exact), bound) << what << ", " << name_of(kernels->isa);
}

TEST(Norm, OfDoublesNeitherOverflowsNorVanishes) {
    int number = 0;
    for (const auto& numbers : extreme_doubles())
        ASSERT_NO_FATAL_FAILURE(expect_close_norm(doubles(numbers), "array " + std::to_string(number++)));
}

/// Leaves of very different magnitudes, in all orders: each pair of them is added.
TEST(Norm, OfDoublesOfMixedMagnitudesIsTheLargersAndTheSmallers) {
    const double scales[] = {1e300, 1e-300, 1.0, 0.0, 0x1p450, 0x1p-450, 1e150, 1e-160};
    for (const double first : scales) {
        for (const double second : scales) {
            for (const double third : scales) {
                std::vector<double> numbers(2 * 4096 + 7);
                for (std::size_t i = 0; i < numbers.size(); ++i)
                    numbers[i] = (1 + 0.01 * static_cast<double>(i % 50)) * (i < 4096   ? first
                                                                             : i < 8192 ? second
                                                                                        : third);
                ASSERT_NO_FATAL_FAILURE(expect_close_norm(
                    doubles(numbers), std::to_string(first) + ' ' + std::to_string(second) + std::to_string(third)));
            }
        }
    }
}

TEST(Norm, OfRandomDoublesOfEveryMagnitudeIsClose) {
    std::mt19937_64 random(61);
    for (int trial = 0; trial < 200; ++trial) {
        const int least = -1074 + static_cast<int>(random() % 2000), span = 1 + static_cast<int>(random() % 60);
        std::vector<double> numbers(1 + random() % 10000);
        for (double& x : numbers)
            x = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52,
                           least + static_cast<int>(random()) % span);
        ASSERT_NO_FATAL_FAILURE(expect_close_norm(doubles(numbers), "trial " + std::to_string(trial)));
    }
}

/// Squares are finite if all numbers are, even where their root is not.
TEST(Norm, BeyondDoublesRangeIsInfiniteButItsSquaresAreNot) {
    const Stored array = doubles(std::vector<double>(50000, std::numeric_limits<double>::max()));
    const auto squares = squares_of(cpu::best_kernels(), readings_of({array}), 1);
    EXPECT_EQ(norm::root(squares), std::numeric_limits<double>::infinity());
    EXPECT_TRUE(norm::is_finite(squares));
    EXPECT_LE(relative_error(norm::root(squares, 0x1p-20), true_norm({array}) * 0x1p-20L), bound);
}

TEST(Norm, OfTheLargestNumbersOfOtherTypesIsFinite) {
    for (const Dtype dtype : {Dtype::float32, Dtype::float16, Dtype::bfloat16}) {
        const double largest = dtype == Dtype::float32 ? 0x1.fffffep127 : dtype == Dtype::float16 ? 65504 : 0x1.fep127;
        Stored array(dtype, 10000);
        for (std::int64_t i = 0; i < 10000; ++i) array.set(i, largest);
        EXPECT_LE(relative_error(norm_of(array), 100 * static_cast<long double>(largest)), bound) << name_of(dtype);
    }
}

/// What the norm of an array is that has these numbers at `at` among zeros or the type's large numbers.
double norm_with(Dtype dtype, std::int64_t size, double others, std::int64_t at, double number,
                 const cpu::Kernels& kernels) {
    Stored array(dtype, size);
    for (std::int64_t i = 0; i < size; ++i) array.set(i, others);
    array.set(at, number);
    return norm_of(array, kernels);
}

TEST(Norm, TellsInfinityAndNanWhereverTheyAre) {
    constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    for (const Dtype dtype : dtypes) {
        for (const double others : {0.0, 1.0, dtype == Dtype::float64 ? 1.7e308 : 6e4}) {
            for (const std::int64_t size : {1, 70, 4096, 4097, 12289}) {
                for (const std::int64_t at : {std::int64_t{0}, size / 2, size - 1}) {
                    for (const cpu::Kernels* kernels : every_kernels()) {
                        ASSERT_EQ(norm_with(dtype, size, others, at, infinity, *kernels), infinity);
                        ASSERT_EQ(norm_with(dtype, size, others, at, -infinity, *kernels), infinity);
                        ASSERT_TRUE(std::isnan(norm_with(dtype, size, others, at, nan, *kernels)));
                    }
                }
            }
        }
    }
}

TEST(Norm, OfInfinityBesideNanIsNan) {
    Stored array(Dtype::float64, 10000);
    array.set(5, std::numeric_limits<double>::infinity());
    array.set(9000, std::numeric_limits<double>::quiet_NaN());
    EXPECT_TRUE(std::isnan(norm_of(array)));
    EXPECT_FALSE(norm::is_finite(squares_of(cpu::best_kernels(), readings_of({array}), 1)));
}

}  // namespace
}  // namespace adamcore::test

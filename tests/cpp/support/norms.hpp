#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "adamcore/cpu/norm.hpp"
#include "support/stored.hpp"

/// Norms as the engine measures them, and as long double has them.
namespace adamcore::test {

inline std::vector<norm::Reading> readings_of(const std::vector<Stored>& arrays) {
    std::vector<norm::Reading> readings;
    for (const Stored& array : arrays) readings.push_back({array.data(), array.size(), array.dtype(), {}});
    return readings;
}

/// The squares of each array, measured in one pass.
inline std::vector<norm::Squares> squares_of_each(const cpu::Kernels& kernels, const std::vector<norm::Reading>& arrays,
                                                  int threads) {
    const auto count = static_cast<std::int64_t>(arrays.size());
    plan::Cut cuts[cpu::max_parts + 1];
    std::vector<std::int64_t> first_leaf(arrays.size() + 1);
    const int parts = cpu::plan_norm(arrays.data(), count, threads, cuts, first_leaf.data());
    std::vector<norm::Squares> leaves(static_cast<std::size_t>(first_leaf.back())), totals(arrays.size());
    cpu::measure(kernels, arrays.data(), cuts, parts, cpu::Threads{threads}, first_leaf.data(), leaves.data());
    cpu::add_leaves(count, first_leaf.data(), leaves.data(), totals.data());
    return totals;
}

inline norm::Squares squares_of(const cpu::Kernels& kernels, const std::vector<norm::Reading>& arrays, int threads) {
    auto totals = squares_of_each(kernels, arrays, threads);
    return sums::sum_pairs(totals.data(), static_cast<std::int64_t>(totals.size()));
}

inline double norm_of(const norm::Reading& array, const cpu::Kernels& kernels) {
    return norm::root(squares_of(kernels, {array}, 1));
}

inline double norm_of(const Stored& array, const cpu::Kernels& kernels = cpu::best_kernels()) {
    return norm_of({array.data(), array.size(), array.dtype(), {}}, kernels);
}

/// By long double, whose range and precision are wider than double's.
inline long double true_norm(const std::vector<Stored>& arrays) {
    long double sum = 0;
    for (const Stored& array : arrays) {
        for (std::int64_t i = 0; i < array.size(); ++i) sum += static_cast<long double>(array[i]) * array[i];
    }
    return std::sqrt(sum);
}

/// That of `actual`, less what it takes to be a double at all where those are few.
inline long double relative_error(double actual, long double exact) {
    constexpr long double half_a_unit = 0x1p-1075L;
    const long double error = std::fabs(actual - exact);
    return error <= half_a_unit ? 0 : error / exact;
}

}  // namespace adamcore::test

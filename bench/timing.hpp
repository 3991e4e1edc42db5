#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "adamcore/storage/formats.hpp"

/// What the benchmarks share: inputs and clocks.
namespace adamcore::bench {

/// Random values of one sign or both, of magnitudes that an update meets.
template <class T>
void fill(T* values, std::int64_t count, double scale, bool is_signed) {
    std::uint64_t state = 1;
    for (std::int64_t i = 0; i < count; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const double unit = static_cast<double>(state >> 11) * 0x1p-53;
        const double value = scale * (is_signed ? 2 * unit - 1 : unit + 0.01);
        if constexpr (sizeof(T) == 2) {
            values[i] = storage::encode<T>(static_cast<float>(value));
        } else {
            values[i] = static_cast<T>(value);
        }
    }
}

inline double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

/// Seconds that one of `repeats` calls of `f(i)` takes.
template <class F>
double time_of(int repeats, F&& f) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) f(i);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

}  // namespace adamcore::bench

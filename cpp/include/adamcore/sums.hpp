#pragma once

#include <cstdint>

#include "adamcore/math.hpp"

/// Sums of one fixed shape, so that their bits depend only on the terms and on the shape of the tensor.
///
/// Over a tensor, elements are counted in C order. A leaf of 4096 of them is summed in double in 32 lanes; lane i mod 32
/// sums element i. The lanes are added by halves (first i and i + 16), then the leaves of the tensor by pairs of
/// neighbours, and then the tensors in the same way.
///
/// Over a row, its elements are summed as if they were a tensor. Over a column, the 64 rows of a block are added in order,
/// and then the blocks by pairs of neighbours.
namespace adamcore::sums {

inline constexpr std::int64_t leaf = 4096;
inline constexpr int lanes = 32;

/// The number of rows in a block of a column.
inline constexpr std::int64_t block = 64;

ADAMCORE_FN constexpr std::int64_t leaves_of(std::int64_t size) { return (size + leaf - 1) / leaf; }
ADAMCORE_FN constexpr std::int64_t blocks_of(std::int64_t rows) { return (rows + block - 1) / block; }

/// The partial sums of the lanes of a leaf.
struct LaneSums {
    double of[lanes] = {};

    ADAMCORE_FN LaneSums() {}
};

ADAMCORE_FN double total(LaneSums& sums) {
    for (int width = lanes / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) sums.of[lane] += sums.of[lane + width];
    }
    return sums.of[0];
}

/// Sums `count` terms by pairs of neighbours, which lie `stride` terms apart. Overwrites `terms`.
template <class Term>
ADAMCORE_FN Term sum_pairs(Term* terms, std::int64_t count, std::int64_t stride = 1) {
    if (count == 0) return {};
    ADAMCORE_ROLLED
    for (; count > 1; count = (count + 1) / 2) {
        ADAMCORE_ROLLED
        for (std::int64_t i = 0; i < count / 2; ++i)
            terms[i * stride] = terms[2 * i * stride] + terms[(2 * i + 1) * stride];
        if (count % 2 != 0) terms[count / 2 * stride] = terms[(count - 1) * stride];
    }
    return terms[0];
}

}  // namespace adamcore::sums

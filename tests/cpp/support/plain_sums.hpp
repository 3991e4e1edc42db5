#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Sums in the shape that sums.hpp describes, by naive loops.
namespace adamcore::test {

/// Neighbours are added until one is left.
inline double plain_pairs(std::vector<double> terms) {
    if (terms.empty()) return 0;
    while (terms.size() > 1) {
        std::vector<double> next;
        for (std::size_t i = 0; i + 1 < terms.size(); i += 2) next.push_back(terms[i] + terms[i + 1]);
        if (terms.size() % 2 != 0) next.push_back(terms.back());
        terms = next;
    }
    return terms[0];
}

/// The sum over a tensor, or over a row.
inline double plain_total(const std::vector<double>& terms) {
    std::vector<double> leaves;
    for (std::size_t begin = 0; begin < terms.size(); begin += 4096) {
        std::array<double, 32> lanes{};
        for (std::size_t i = begin; i < std::min(terms.size(), begin + 4096); ++i) lanes[(i - begin) % 32] += terms[i];
        for (std::size_t half = 16; half > 0; half /= 2) {
            for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
        }
        leaves.push_back(lanes[0]);
    }
    return plain_pairs(leaves);
}

/// The sum over a column, given the terms of its rows.
inline double plain_column(const std::vector<double>& terms) {
    std::vector<double> blocks;
    for (std::size_t begin = 0; begin < terms.size(); begin += 64) {
        double sum = 0;
        for (std::size_t i = begin; i < std::min(terms.size(), begin + 64); ++i) sum += terms[i];
        blocks.push_back(sum);
    }
    return plain_pairs(blocks);
}

}  // namespace adamcore::test

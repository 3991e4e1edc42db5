#pragma once

#include <cstdint>

#include "adamcore/cuda/table.hpp"
#include "adamcore/sums.hpp"

/// Sums by pairs of neighbours, of any terms: norm::Squares where gradients are measured, and double where rules have
/// passes. Threads exchange values through shared memory between phases.
namespace adamcore::cuda {

/// One thread's share of one level of a sum by pairs of neighbours, in place, of `count` <= capacity terms.
template <class Terms>
ADAMCORE_FN void fold_level(Terms&& terms, std::int32_t count, int level, int thread) {
    const std::int64_t reach = std::int64_t{1} << level;
    ADAMCORE_ROLLED
    for (std::int64_t at = 2 * reach * thread; at + reach < count; at += 2 * reach * threads)
        terms[at] = terms[at] + terms[at + reach];
}

/// The number of levels of such a sum.
ADAMCORE_FN int fold_levels(std::int64_t count) {
    int levels = 0;
    while ((std::int64_t{1} << levels) < count) ++levels;
    return levels;
}

template <class Term>
struct FoldTerms {
    const FoldTile* tiles;
    const Term* terms;
    Term* sums;  ///< one for each block
};

/// Sums up to 512 neighbouring terms, starting at a multiple of 512 in the terms of an array.
template <class Term>
struct FoldOf {
    using Arguments = FoldTerms<Term>;

    static constexpr int resident = 1;

    static constexpr std::int64_t capacity = 512;

    struct Shared {
        Term terms[capacity];
    };

    ADAMCORE_FN static int phases(const Arguments& a, Place at) { return fold_levels(a.tiles[at.block].count) + 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const FoldTile here = a.tiles[at.block];
        if (phase == 0) {
            for (std::int64_t i = at.thread; i < here.count; i += threads) shared.terms[i] = a.terms[here.begin + i];
        } else if (phase < phases(a, at) - 1) {
            fold_level(shared.terms, static_cast<std::int32_t>(here.count), phase - 1, at.thread);
        } else if (at.thread == 0) {
            a.sums[at.block] = shared.terms[0];
        }
    }
};

/// Adds up the sums that the blocks of a fold have computed for an array.
template <class Term>
ADAMCORE_FN Term total_of(Term* terms, const std::int64_t* first, std::int64_t array) {
    return sums::sum_pairs(terms + first[array], first[array + 1] - first[array]);
}

/// Adds the lanes of a leaf by halves, in `halvings` phases.
inline constexpr int halvings = 5;
static_assert(1 << halvings == sums::lanes);

ADAMCORE_FN void halve(double (&lanes)[sums::lanes], int phase, int lane) {
    const int half = sums::lanes >> (phase + 1);
    if (lane < half) lanes[lane] += lanes[lane + half];
}

}  // namespace adamcore::cuda

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/elements/operands.hpp"
#include "adamcore/cuda/fold.hpp"
#include "adamcore/cuda/passes/numbers.hpp"
#include "adamcore/cuda/passes/table.hpp"
#include "adamcore/sums.hpp"

/// What a pass over rows and columns computes for each row and each column.
namespace adamcore::cuda {

struct LineArguments {
    const Tensor* tensors;
    const LineTerms* places;  ///< by tensor
    double* terms;
    const Constants* constants;
    const Control* control;
    double* shared;           ///< the optimizer's numbers
    const MatrixTile* tiles;  ///< for Visit...: what they visit
    const Tile* lines;        ///< for the rest: 256 rows or columns
    std::int64_t row_tiles;   ///< the number of those that are rows
};

/// Sums `count` terms by pairs of neighbours in one go. `term(i)` is the i-th.
template <class Term>
ADAMCORE_FN double sum_in_turn(std::int64_t count, Term&& term) {
    constexpr int batch = 8, most = 40;
    double sums[most];  // of 8, 16, 32 ... terms, where the number of groups so far has a bit
    const std::int64_t groups = (count + batch - 1) / batch;
    for (std::int64_t group = 0; group < groups; ++group) {
        double some[batch];
        const std::int64_t first = group * batch, here = math::min<std::int64_t>(batch, count - first);
        ADAMCORE_UNROLL
        for (int k = 0; k < batch; ++k) some[k] = k < here ? term(first + k) : 0.0;
        double sum = sums::sum_pairs(some, here);
        int level = 0;
        for (; group >> level & 1; ++level) sum = sums[level] + sum;
        sums[level] = sum;
    }
    if (groups == 0) return 0;
    int level = 0;
    while (!(groups >> level & 1)) ++level;
    double sum = sums[level];
    while (groups >> ++level) {
        if (groups >> level & 1) sum = sums[level] + sum;
    }
    return sum;
}

/// Sums `count` <= 4096 terms as a leaf.
template <class Term>
ADAMCORE_FN double sum_leaf(std::int64_t count, Term&& term) {
    sums::LaneSums lanes;
    for (std::int64_t i = 0; i < count; ++i) lanes.of[i % sums::lanes] += term(i);
    return sums::total(lanes);
}

/// The functions of a pass for one row or column.
template <class Rule, class T, class Pass>
struct Lines {
    using Step = typename Rule::template Step<T>;

    static constexpr int count_over(rule::Over over) {
        int count = 0;
        for (const rule::Over each : Pass::sums) count += each == over;
        return count;
    }
    static constexpr int row_sums = count_over(rule::Over::rows), column_sums = count_over(rule::Over::columns);

    /// The place of a pass's sum among those of rows, or of columns.
    template <std::size_t S>
    static constexpr bool is_of_rows = Pass::sums[S] == rule::Over::rows;
    template <std::size_t S>
    static constexpr int place = [] {
        int found = 0;
        for (std::size_t k = 0; k < S; ++k) found += Pass::sums[k] == Pass::sums[S];
        return found;
    }();

    /// `sums` are those of the row. Returns the row's number.
    ADAMCORE_FN static double row(const Constants& constants, const Tensor& tensor, double* shared, const double* sums,
                                  std::int64_t at) {
        double number = 0;
        with_line<true>(constants, tensor, shared, at, [&](const auto& step, const auto& context, T* line) {
            number = Pass::row(step, context, sums, line);
        });
        return number;
    }
    ADAMCORE_FN static void spread(const Constants& constants, const Tensor& tensor, double* shared, double total,
                                   std::int64_t at) {
        with_line<true>(constants, tensor, shared, at, [&](const auto& step, const auto& context, T* line) {
            Pass::spread(step, context, total, line);
        });
    }
    ADAMCORE_FN static void column(const Constants& constants, const Tensor& tensor, double* shared, const double* sums,
                                   std::int64_t at) {
        with_line<false>(constants, tensor, shared, at, [&](const auto& step, const auto& context, T* line) {
            Pass::column(step, context, sums, line);
        });
    }

private:
    /// Calls `f` with copies of the elements of arrays of rows, or of columns, and stores them again.
    template <bool OfRows, class F>
    ADAMCORE_FN static void with_line(const Constants& constants, const Tensor& tensor, double* shared, std::int64_t at,
                                      F&& f) {
        const Step& step = *reinterpret_cast<const Step*>(constants.step.bytes);
        T line[max_slots];
        move<OfRows>(tensor, at, line, true, std::make_index_sequence<operand_count<Rule>>{});
        read_context<Rule>(tensor, constants, shared, [&](const rule::Context& context) { f(step, context, line); });
        move<OfRows>(tensor, at, line, false, std::make_index_sequence<operand_count<Rule>>{});
    }

    template <bool OfRows, std::size_t... I>
    ADAMCORE_FN static void move(const Tensor& tensor, std::int64_t at, T* line, bool loads,
                                 std::index_sequence<I...>) {
        [[maybe_unused]] int k = 0;
        (move_one<OfRows, I>(tensor, at, line, loads, k), ...);
    }
    template <bool OfRows, std::size_t K>
    ADAMCORE_FN static void move_one(const Tensor& tensor, std::int64_t at, T* line, bool loads, int& k) {
        if constexpr (OfRows ? Operand<Rule, K>::is_of_rows : Operand<Rule, K>::is_of_columns) {
            T& element = global(static_cast<T*>(tensor.state[Operand<Rule, K>::place]))[at];
            loads ? void(line[k] = element) : void(element = line[k]);
            ++k;
        }
    }
};

/// Computes row() for 256 rows of a tensor.
template <class Rule, class T, class Pass>
struct Rows {
    using Arguments = LineArguments;
    using Of = Lines<Rule, T, Pass>;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const Tile here = a.lines[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const std::int64_t row = std::int64_t{here.index} * threads + at.thread,
                           rows = quotient(tensor.size, tensor.columns);
        if (a.control->skip || row >= rows) return;
        const std::int64_t leaves = sums::leaves_of(tensor.columns);
        double* const terms = a.terms + a.places[here.tensor].rows;
        double sums[Of::row_sums + 1];
        for (int sum = 0; sum < Of::row_sums; ++sum) {
            const double* const own = terms + (sum * rows + row) * leaves;
            sums[sum] = sum_in_turn(leaves, [&](std::int64_t leaf) { return own[leaf]; });
        }
        const double number = Of::row(a.constants[tensor.group], tensor, a.shared, sums, row);
        terms[row * leaves] = number;
    }
};

/// Computes spread() for 256 rows, or column() for 256 columns.
template <class Rule, class T, class Pass>
struct Spread {
    using Arguments = LineArguments;
    using Of = Lines<Rule, T, Pass>;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.control->skip) return;
        const Tile here = a.lines[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const LineTerms& places = a.places[here.tensor];
        const Constants& constants = a.constants[tensor.group];
        const std::int64_t i = std::int64_t{here.index} * threads + at.thread;
        if (at.block < a.row_tiles) {
            if (i >= quotient(tensor.size, tensor.columns)) return;
            const std::int64_t leaves = sums::leaves_of(tensor.rows);
            const double total = a.terms[places.totals + quotient(i, tensor.rows) * leaves];
            Of::spread(constants, tensor, a.shared, total, i);
        } else if (i < quotient(tensor.size, tensor.rows)) {
            const std::int64_t matrix = quotient(i, tensor.columns), column = i - matrix * tensor.columns;
            double sums[Of::column_sums + 1];
            for (int sum = 0; sum < Of::column_sums; ++sum) {
                const double* const own = a.terms + places.columns +
                                          (sum * matrices_of(tensor) + matrix) * places.column_count * tensor.columns +
                                          column;
                sums[sum] = sum_in_turn(places.column_count, [&](std::int64_t k) { return own[k * tensor.columns]; });
            }
            Of::column(constants, tensor, a.shared, sums, i);
        }
    }
};

struct TotalArguments {
    const Tensor* tensors;
    const LineTerms* places;  ///< by tensor
    double* terms;
    const MatrixTile* tiles;
    std::int32_t column_sums;
    const Control* control;
};

/// Adds up what row() has returned for the rows of one matrix. A warp adds up a leaf of them.
struct RowTotals {
    using Arguments = TotalArguments;

    static constexpr int resident = 1;
    static constexpr int warps = threads / sums::lanes;

    struct Shared {
        double lane[warps][sums::lanes];
    };

    /// The phases: for every eight leaves the lanes, halvings and the results, and then the levels of a fold.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        const std::int64_t leaves = sums::leaves_of(a.tensors[a.tiles[at.block].tensor].rows);
        return rounds_of(leaves) * each + fold_levels(leaves);
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (a.control->skip) return;
        const MatrixTile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const LineTerms& places = a.places[here.tensor];
        const std::int64_t leaves = sums::leaves_of(tensor.rows);
        const int rounds = rounds_of(leaves), warp = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        double* const sums = a.terms + places.totals + here.matrix * leaves;
        if (phase >= rounds * each)
            return fold_level(sums, static_cast<std::int32_t>(leaves), phase - rounds * each, at.thread);
        const std::int64_t leaf = phase / each * warps + warp;
        if (leaf >= leaves) return;
        if (phase % each == 0) {
            shared.lane[warp][lane] = sum_lane(a.terms + places.rows, tensor, here.matrix, leaf, lane);
        } else if (phase % each <= halvings) {
            halve(shared.lane[warp], phase % each - 1, lane);
        } else if (lane == 0) {
            sums[leaf] = shared.lane[warp][0];
        }
    }

private:
    static constexpr int each = halvings + 2;

    ADAMCORE_FN static int rounds_of(std::int64_t leaves) { return static_cast<int>((leaves + warps - 1) / warps); }

    ADAMCORE_FN static double sum_lane(const double* rows, const Tensor& tensor, std::int64_t matrix, std::int64_t leaf,
                                       int lane) {
        const std::int64_t stride = sums::leaves_of(tensor.columns);
        const std::int64_t last = math::min(tensor.rows, (leaf + 1) * sums::leaf);
        const double* const own = rows + matrix * tensor.rows * stride;
        double sum = 0;
        for (std::int64_t row = leaf * sums::leaf + lane; row < last; row += sums::lanes) sum += own[row * stride];
        return sum;
    }
};

/// Adds up 64 neighbouring terms for each of 256 columns of a matrix with many rows: those of block `block`, and of
/// columns from 256 * `leaf` on.
struct ColumnSums {
    using Arguments = TotalArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.control->skip) return;
        const MatrixTile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const LineTerms& places = a.places[here.tensor];
        const std::int64_t column = std::int64_t{here.leaf} * threads + at.thread, columns = tensor.columns;
        if (column >= columns) return;
        const std::int64_t blocks = sums::blocks_of(tensor.rows), first = here.block * column_share;
        const std::int64_t all = matrices_of(tensor), count = math::min(column_share, blocks - first);
        for (std::int64_t sum = 0; sum < a.column_sums; ++sum) {
            const std::int64_t matrix = sum * all + here.matrix;
            const double* const from = a.terms + places.blocks + (matrix * blocks + first) * columns + column;
            double* const to =
                a.terms + places.columns + (matrix * places.column_count + here.block) * columns + column;
            *to = sum_in_turn(count, [&](std::int64_t k) { return from[k * columns]; });
        }
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/elements/elements.hpp"
#include "adamcore/cuda/passes/lines.hpp"

/// Passes that sum over rows and columns.
namespace adamcore::cuda {

struct MatrixArguments : StepArguments {
    LineArguments lines;
};

/// What both kernels below have in common.
template <class Rule, class T, class Pass, bool IsDense>
struct MatrixPass {
    using Arguments = MatrixArguments;
    using All = Elements<Rule, T, Access<Arguments, Pass::reads, Pass::writes, IsDense, false>>;
    using Task = typename All::Task;
    using Of = Lines<Rule, T, Pass>;

    /// Gives the terms of an element to `row(place of the sum, term)` and `column(...)`.
    template <class R, class C, std::size_t... S>
    ADAMCORE_FN static void give(const double* terms, R&& row, C&& column, std::index_sequence<S...>) {
        const auto one = [&](bool is_of_rows, int place, double term) {
            is_of_rows ? row(place, term) : column(place, term);
        };
        (one(Of::template is_of_rows<S>, Of::template place<S>, terms[S]), ...);
    }

    /// Visits the elements of a spot. Calls `row(k, sum, term)` and `column(...)` for each.
    template <class Spot, class R, class C>
    ADAMCORE_FN static void visit(const Task& task, const Spot& spot, R&& row, C&& column) {
        All::visit(task, spot, [&](int k, const auto& step, auto grad, const T& param, auto&... state) {
            const auto terms = Pass::visit(step, grad, param, state...);
            give(
                terms.of, [&](int sum, double term) { row(k, sum, term); },
                [&](int sum, double term) { column(k, sum, term); }, std::make_index_sequence<rule::sum_count<Pass>>{});
        });
    }
};

/// A block visits 64 rows and 4096 columns of a matrix: in turn, each thread visits a few neighbouring elements of a
/// column, which it adds up, and then the threads add the terms of rows, each in the lane of its element.
template <class Rule, class T, class Pass, bool IsDense>
struct VisitParts {
    using Base = MatrixPass<Rule, T, Pass, IsDense>;
    using Arguments = typename Base::Arguments;
    using Of = typename Base::Of;

    static constexpr int resident = sizeof(T) == 4 ? 3 : 2;
    static constexpr int row_sums = Of::row_sums, column_sums = Of::column_sums;
    static_assert(row_sums <= 2, "the lanes of a block's rows fit into shared memory");
    /// The number of rows that are visited between two phases.
    static constexpr int lines = row_sums <= 1 ? 8 : 2;
    static constexpr int warps = threads / sums::lanes;
    static constexpr int block = static_cast<int>(sums::block);

    struct Shared {
        double terms[row_sums + (row_sums == 0)][lines][threads];
        double lane[row_sums + (row_sums == 0)][block][sums::lanes];
        double column[column_sums + (column_sums == 0)][threads];
    };

    /// A tile, and what it covers.
    struct Extent {
        MatrixTile part;
        std::int64_t rows, columns;  ///< of the matrix
        std::int64_t line, column;   ///< where it begins in the matrix
        int line_count, column_count;
        int strips, rounds;  ///< of 256 columns; of a few rows for each of them

        ADAMCORE_FN static Extent of(const Arguments& a, Place at) {
            const MatrixTile part = a.lines.tiles[at.block];
            const Tensor& tensor = a.tensors[part.tensor];
            Extent e{part, tensor.rows, tensor.columns, part.block * sums::block, part.leaf * sums::leaf, 0, 0, 0, 0};
            e.line_count = static_cast<int>(math::min(sums::block, e.rows - e.line));
            e.column_count = static_cast<int>(math::min(sums::leaf, e.columns - e.column));
            e.strips = (e.column_count + threads - 1) / threads;
            e.rounds = (e.line_count + lines - 1) / lines;
            return e;
        }
        ADAMCORE_FN std::int64_t element(std::int64_t line_in_tile, std::int64_t column_in_tile) const {
            return (part.matrix * rows + line + line_in_tile) * columns + column + column_in_tile;
        }
    };

    /// The phases: visiting and adding in turn, halvings, the result.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        const Extent here = Extent::of(a, at);
        return 2 * here.strips * here.rounds + halvings + 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const Extent here = Extent::of(a, at);
        if (a.skips() || !a.grads[here.part.tensor]) return;
        const int visits = 2 * here.strips * here.rounds;
        const int strip = phase / 2 / here.rounds, round = phase / 2 % here.rounds;
        const int warp = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        if (phase < visits && phase % 2 == 0) {
            visit(a, here, strip, round, at.thread, shared);
        } else if (phase < visits) {
            if (warp < lines) add(here, strip, round, warp, lane, shared);
        } else if (phase < visits + halvings) {
            for (int sum = 0; sum < row_sums; ++sum) {
                for (int line = warp; line < here.line_count; line += warps)
                    halve(shared.lane[sum][line], phase - visits, lane);
            }
        } else {
            store_rows(a, here, at.thread, shared);
        }
    }

private:
    ADAMCORE_FN static void visit(const Arguments& a, const Extent& here, int strip, int round, int thread,
                                  Shared& shared) {
        const int in_tile = strip * threads + thread, line = round * lines;
        if (in_tile >= here.column_count) return;
        const int count = static_cast<int>(math::min(lines, here.line_count - line));
        const std::int64_t begin = here.element(line, in_tile);
        const auto task = Base::Task::of(a, here.part.tensor, begin, nullptr);
        double sums[column_sums + 1];
        for (int sum = 0; sum < column_sums; ++sum) sums[sum] = round == 0 ? 0 : shared.column[sum][thread];
        const auto row = [&](int k, int sum, double term) { shared.terms[sum][k][thread] = term; };
        const auto column = [&](int k, int sum, double term) { sums[sum] = k < count ? sums[sum] + term : sums[sum]; };
        if (Base::All::is_plain(task.tensor)) {
            Base::visit(task, Below<lines>{begin, here.columns, count}, row, column);
        } else {
            ADAMCORE_ROLLED
            for (int k = 0; k < count; ++k)
                Base::visit(
                    task, Neighbours<1>{begin + k * here.columns},
                    [&](int, int sum, double term) { row(k, sum, term); },
                    [&](int, int sum, double term) { column(k, sum, term); });
        }
        for (int sum = 0; sum < column_sums; ++sum) shared.column[sum][thread] = sums[sum];
        if (round + 1 == here.rounds) store_column(a, here, in_tile, sums);
    }

    ADAMCORE_FN static void store_column(const Arguments& a, const Extent& here, int in_tile, const double* sums) {
        const Tensor& tensor = a.tensors[here.part.tensor];
        const std::int64_t blocks = sums::blocks_of(here.rows), all = matrices_of(tensor);
        double* const terms = a.lines.terms + a.lines.places[here.part.tensor].blocks;
        for (int sum = 0; sum < column_sums; ++sum) {
            const std::int64_t block_of_all = (sum * all + here.part.matrix) * blocks + here.part.block;
            terms[block_of_all * here.columns + here.column + in_tile] = sums[sum];
        }
    }

    /// Adds the terms of a row to one of its lanes.
    ADAMCORE_FN static void add(const Extent& here, int strip, int round, int line, int lane, Shared& shared) {
        const int in_tile = round * lines + line;
        if (in_tile >= here.line_count) return;
        const int count = math::min(threads, here.column_count - strip * threads);
        for (int sum = 0; sum < row_sums; ++sum) {
            double total = strip == 0 ? 0 : shared.lane[sum][in_tile][lane];
            for (int at = lane; at < count; at += sums::lanes) total += shared.terms[sum][line][at];
            shared.lane[sum][in_tile][lane] = total;
        }
    }

    ADAMCORE_FN static void store_rows(const Arguments& a, const Extent& here, int thread, Shared& shared) {
        const Tensor& tensor = a.tensors[here.part.tensor];
        const std::int64_t leaves = sums::leaves_of(here.columns), rows = quotient(tensor.size, here.columns);
        double* const terms = a.lines.terms + a.lines.places[here.part.tensor].rows;
        for (int sum = 0; sum < row_sums; ++sum) {
            for (int line = thread; line < here.line_count; line += threads) {
                const std::int64_t row = here.part.matrix * here.rows + here.line + line;
                terms[(sum * rows + row) * leaves + here.part.leaf] = shared.lane[sum][line][0];
            }
        }
    }
};

/// A block does all of a pass for a few whole matrices, which are small: visiting, row() and column(), totals, spread().
template <class Rule, class T, class Pass, bool IsDense>
struct VisitMatrices {
    using Base = MatrixPass<Rule, T, Pass, IsDense>;
    using Arguments = typename Base::Arguments;
    using Of = typename Base::Of;

    static constexpr int resident = sizeof(T) == 4 ? 3 : 2;
    static constexpr int row_sums = Of::row_sums, column_sums = Of::column_sums;
    static_assert(row_sums + column_sums <= 2, "the terms of matrices fit into shared memory");

    /// The maximum number of elements of a block's matrices.
    static constexpr std::int64_t capacity = small_matrices;

    struct Shared {
        double row[row_sums + (row_sums == 0)][capacity];  ///< terms, then the number of each row, then totals
        double column[column_sums + (column_sums == 0)][capacity];
    };

    ADAMCORE_FN static int phases(const Arguments&, Place) { return 4; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const MatrixTile here = a.lines.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        if (a.skips() || !a.grads[here.tensor]) return;
        if (phase == 0) {
            visit(a, here, at.thread, shared);
        } else if (phase == 1) {
            for (int i = at.thread; i < here.count * tensor.rows; i += threads) add_row(a, here, i, shared);
            for (int i = at.thread; i < here.count * tensor.columns; i += threads) add_column(a, here, i, shared);
        } else if (phase == 2) {
            for (int i = at.thread; i < here.count; i += threads) add_numbers(tensor, i, shared);
        } else {
            for (int i = at.thread; i < here.count * tensor.rows; i += threads) {
                const auto rows = static_cast<int>(tensor.rows), columns = static_cast<int>(tensor.columns);
                Of::spread(a.constants[tensor.group], tensor, a.lines.shared, shared.row[0][i / rows * rows * columns],
                           here.matrix * rows + i);
            }
        }
    }

private:
    ADAMCORE_FN static void visit(const Arguments& a, const MatrixTile& here, int thread, Shared& shared) {
        constexpr int width = Base::All::width;
        const Tensor& tensor = a.tensors[here.tensor];
        const std::int64_t first = here.matrix * tensor.rows * tensor.columns;
        const auto count = static_cast<int>(here.count * tensor.rows * tensor.columns);
        const auto task = Base::Task::of(a, here.tensor, first, nullptr);
        const int whole = Base::All::is_plain(tensor) ? count / width * width : 0;
        const auto take = [&](auto spot, int at) {
            Base::visit(
                task, spot, [&](int k, int sum, double term) { shared.row[sum][at + k] = term; },
                [&](int k, int sum, double term) { shared.column[sum][at + k] = term; });
        };
        ADAMCORE_ROLLED
        for (int at = thread * width; at < whole; at += threads * width) take(Neighbours<width>{first + at}, at);
        ADAMCORE_ROLLED
        for (int at = whole + thread; at < count; at += threads) take(Neighbours<1>{first + at}, at);
    }

    ADAMCORE_FN static void add_row(const Arguments& a, const MatrixTile& here, int i, Shared& shared) {
        const Tensor& tensor = a.tensors[here.tensor];
        const std::int64_t begin = i * tensor.columns;
        double sums[row_sums + 1];
        for (int sum = 0; sum < row_sums; ++sum)
            sums[sum] = sum_leaf(tensor.columns, [&](std::int64_t at) { return shared.row[sum][begin + at]; });
        shared.row[0][begin] =
            Of::row(a.constants[tensor.group], tensor, a.lines.shared, sums, here.matrix * tensor.rows + i);
    }

    ADAMCORE_FN static void add_column(const Arguments& a, const MatrixTile& here, int i, Shared& shared) {
        const Tensor& tensor = a.tensors[here.tensor];
        const auto columns = static_cast<int>(tensor.columns);
        const std::int64_t begin = i / columns * tensor.rows * columns + i % columns;
        double sums[column_sums + 1];
        for (int sum = 0; sum < column_sums; ++sum) {
            sums[sum] = 0;
            for (std::int64_t row = 0; row < tensor.rows; ++row) sums[sum] += shared.column[sum][begin + row * columns];
        }
        Of::column(a.constants[tensor.group], tensor, a.lines.shared, sums, here.matrix * columns + i);
    }

    /// Adds up the numbers of a matrix's rows.
    ADAMCORE_FN static void add_numbers(const Tensor& tensor, int i, Shared& shared) {
        double* const begin = shared.row[0] + i * tensor.rows * tensor.columns;
        *begin = sum_leaf(tensor.rows, [&](std::int64_t row) { return begin[row * tensor.columns]; });
    }
};

}  // namespace adamcore::cuda

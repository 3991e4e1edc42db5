#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/passes/workspace.hpp"
#include "adamcore/cpu/pieces.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/sums.hpp"

/// Sums over rows and columns.
namespace adamcore::cpu::detail {

/// How a tensor is cut for a pass over rows and columns, or for what follows it: into units of neighbouring lines.
/// Sizes and cuts count elements of units that are all as large as the first.
struct Units {
    std::int64_t count, nominal;

    std::int64_t size() const { return count * nominal; }

    static Units of_elements(const Tensor& tensor) {
        return {matrices_of(tensor) * sums::blocks_of(tensor.rows) * sums::leaves_of(tensor.columns),
                std::min(tensor.rows, sums::block) * std::min(tensor.columns, sums::leaf)};
    }
    /// Leaves of rows.
    static Units of_rows(const Tensor& tensor) {
        return {matrices_of(tensor) * sums::leaves_of(tensor.rows), std::min(tensor.rows, sums::leaf)};
    }
    static constexpr std::int64_t columns_at_once = 256;
    static Units of_columns(const Tensor& tensor) {
        return {matrices_of(tensor) * ((tensor.columns + columns_at_once - 1) / columns_at_once),
                std::min(tensor.columns, columns_at_once)};
    }
};

/// The partial sums of a pass over rows and columns of one tensor, and what becomes of them.
struct Table {
    const Tensor& tensor;
    const PassInfo& pass;
    const void* step;
    rule::Context context;
    double* partials;
    void* row_arrays[max_slots];  ///< the slots of this shape, and then the temporaries
    void* column_arrays[max_slots];

    std::int64_t rows() const { return tensor.rows; }
    std::int64_t columns() const { return tensor.columns; }
    bool has(rule::Over over) const { return count_over(pass, over) > 0; }
    double* row_partials() const { return partials; }
    double* column_partials() const { return partials + partials_of(tensor, pass).rows; }
    /// Sums of what row() returns, for the leaves of rows of each matrix.
    double* totals() const { return column_partials() + partials_of(tensor, pass).columns; }

    TableSums sums() const {
        TableSums found{row_partials(), column_partials(), 0, 0, 0, {}, {}};
        for (std::size_t k = 0; k < pass.sum_count; ++k) {
            if (pass.sums[k] == rule::Over::rows) found.of_rows[found.row_sums++] = k;
            if (pass.sums[k] == rule::Over::columns) found.of_columns[found.column_sums++] = k;
        }
        found.column_stride = matrices_of(tensor) * sums::blocks_of(rows()) * columns();
        return found;
    }

    /// Adds up the rows of units [begin, end) of Units::of_rows, and calls row() for each.
    void finish_rows(std::int64_t begin, std::int64_t end) const noexcept {
        const std::int64_t parts = sums::leaves_of(columns()), leaves = sums::leaves_of(rows());
        const int count = count_over(pass, rule::Over::rows);
        for (std::int64_t unit = begin; unit < end; ++unit) {
            const std::int64_t matrix = unit / leaves, first = (unit - matrix * leaves) * sums::leaf;
            const std::int64_t last = std::min(rows(), first + sums::leaf);
            sums::LaneSums lanes;
            for (std::int64_t r = first; r < last; ++r) {
                const std::int64_t row = matrix * rows() + r;
                double* const sums = row_partials() + row * parts * count;
                for (int k = 0; k < count; ++k) sums::sum_pairs(sums + k, parts, count);
                lanes.of[r % sums::lanes] += pass.row(tensor.dtype, step, context, sums, row_arrays, row);
            }
            totals()[unit] = sums::total(lanes);
        }
    }

    /// Adds up the totals of each matrix.
    void finish_totals() const noexcept {
        const std::int64_t leaves = sums::leaves_of(rows());
        if (leaves == 1) return;
        for (std::int64_t matrix = 0; matrix < matrices_of(tensor); ++matrix)
            sums::sum_pairs(totals() + matrix * leaves, leaves);
    }

    /// Calls spread() for the rows of these units.
    void spread_rows(std::int64_t begin, std::int64_t end) const noexcept {
        const std::int64_t leaves = sums::leaves_of(rows());
        for (std::int64_t unit = begin; unit < end; ++unit) {
            const std::int64_t matrix = unit / leaves, first = (unit - matrix * leaves) * sums::leaf;
            const std::int64_t last = std::min(rows(), first + sums::leaf);
            for (std::int64_t r = first; r < last; ++r)
                pass.spread(tensor.dtype, step, context, totals()[matrix * leaves], row_arrays, matrix * rows() + r);
        }
    }

    /// Adds up the columns of units [begin, end) of Units::of_columns, and calls column() for each.
    void finish_columns(std::int64_t begin, std::int64_t end) const noexcept {
        const TableSums found = sums();
        const std::int64_t blocks = sums::blocks_of(rows()), width = Units::columns_at_once;
        const std::int64_t per_matrix = (columns() + width - 1) / width;
        for (std::int64_t unit = begin; unit < end; ++unit) {
            const std::int64_t matrix = unit / per_matrix, first = (unit - matrix * per_matrix) * width;
            const std::int64_t count = std::min(columns() - first, width);
            double* const base = found.columns + matrix * blocks * columns() + first;
            for (int k = 0; k < found.column_sums; ++k) add_blocks(base + k * found.column_stride, blocks, count);
            for (std::int64_t c = 0; c < count; ++c) {
                double sums[rule::max_sums];
                for (int k = 0; k < found.column_sums; ++k) sums[k] = base[k * found.column_stride + c];
                pass.column(tensor.dtype, step, context, sums, column_arrays, matrix * columns() + first + c);
            }
        }
    }

private:
    /// sums::sum_pairs for `count` neighbouring columns at a time.
    void add_blocks(double* sums, std::int64_t blocks, std::int64_t count) const noexcept {
        for (; blocks > 1; blocks = (blocks + 1) / 2) {
            for (std::int64_t b = 0; b < blocks / 2; ++b) {
                double* const to = sums + b * columns();
                const double *one = sums + 2 * b * columns(), *other = one + columns();
                for (std::int64_t c = 0; c < count; ++c) to[c] = one[c] + other[c];
            }
            if (blocks % 2 != 0) std::copy_n(sums + (blocks - 1) * columns(), count, sums + blocks / 2 * columns());
        }
    }
};

}  // namespace adamcore::cpu::detail

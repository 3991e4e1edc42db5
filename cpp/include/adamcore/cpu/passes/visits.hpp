#pragma once

#include <cstdint>

#include "adamcore/cpu/passes/pass_sweep.hpp"
#include "adamcore/cpu/tiles/arrays.hpp"
#include "adamcore/sums.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

/// Passes over elements, tile by tile, whose terms are summed in the shapes of sums.hpp. Passes are given as function
/// pointers.
namespace adamcore::cpu {

/// A pass over one tensor: what a TileSweep is for an update.
struct Visit {
    const PassSweep& pass;
    const void* constants;
    const Tensor& tensor;
    double group_scale;
    Scale scale;
    const Treatment& treatment;
};

/// Where a pass over rows and columns writes its partial sums.
///
/// A tensor consists of units of at most 64 rows and 4096 columns of one matrix. They are counted leaf of columns by leaf of
/// columns, block of rows by block of rows, and matrix by matrix. Row r of all rows has one partial sum for each leaf
/// of columns, rows[(r * leaves + leaf) * row_sums + k]; column c of matrix m has one for each block of rows,
/// columns[k * column_stride + (m * blocks + block) * tensor.columns + c].
struct TableSums {
    double* rows;
    double* columns;
    std::int64_t column_stride;
    int row_sums, column_sums;
    std::size_t of_rows[rule::max_sums], of_columns[rule::max_sums];  ///< which sums of the pass they are
};

struct TileVisits {
    /// Visits elements [begin, end), `begin` a multiple of sums::leaf, and writes the sums of each leaf to `leaves`, those
    /// of one leaf side by side.
    void (*leaves)(const Visit& visit, std::int64_t begin, std::int64_t end, double* leaves) noexcept;
    /// Visits units [begin, end).
    void (*units)(const Visit& visit, std::int64_t begin, std::int64_t end, const TableSums& sums) noexcept;
};

namespace detail {

/// The sums of neighbouring units of one block of rows, whose elements are visited row by row.
template <class Isa>
class BlockSums {
public:
    /// `row` is the first row, of all rows, and the columns are [first, last); `first` begins a leaf.
    BlockSums(const TableSums& sums, const Tensor& tensor, std::int64_t row, std::int64_t block_of_all,
              std::int64_t first, std::int64_t last)
        : sums_(sums),
          row_(row),
          leaves_(sums::leaves_of(tensor.columns)),
          first_(first),
          last_(last),
          column_(first),
          columns_(sums.columns + block_of_all * tensor.columns) {
        for (int k = 0; k < sums.column_sums; ++k) {
            for (std::int64_t c = first; c < last; ++c) column_sums(k)[c] = 0;
        }
    }

    /// Calls `f(count, first_lane, sums)` for the parts of the next `count` elements that lie in one leaf of a row.
    template <class F>
    ADAMCORE_FN void for_each_part(std::int64_t count, F&& f) {
        for (std::int64_t at = 0, part; at < count; at += part) {
            const std::int64_t end = math::min(last_, (column_ / sums::leaf + 1) * sums::leaf);
            part = math::min(end - column_, count - at);
            double* sums[rule::max_sums];
            for (int k = 0; k < sums_.row_sums; ++k) sums[sums_.of_rows[k]] = lanes_[k].of;
            for (int k = 0; k < sums_.column_sums; ++k) sums[sums_.of_columns[k]] = column_sums(k) + column_;
            f(part, column_ % sums::lanes, sums);
            column_ += part;
            if (column_ == end) end_leaf();
        }
    }

private:
    double* column_sums(int k) const { return columns_ + k * sums_.column_stride; }

    void end_leaf() {
        const std::int64_t leaf = (column_ - 1) / sums::leaf;
        for (int k = 0; k < sums_.row_sums; ++k) {
            sums_.rows[(row_ * leaves_ + leaf) * sums_.row_sums + k] = sums::total(lanes_[k]);
            lanes_[k] = {};
        }
        if (column_ < last_) return;
        column_ = first_;
        ++row_;
    }

    const TableSums& sums_;
    std::int64_t row_;
    const std::int64_t leaves_, first_, last_;
    std::int64_t column_;
    double* columns_;
    sums::LaneSums lanes_[rule::max_sums];
};

template <class Isa, class T>
class Visitor {
public:
    static void leaves(const Visit& visit, std::int64_t begin, std::int64_t end, double* leaves) noexcept {
        Visitor visitor(visit);
        for (std::int64_t at = begin; at < end; at += sums::leaf) {
            sums::LaneSums lanes[rule::max_sums];
            double* sums[rule::max_sums];
            for (std::size_t k = 0; k < rule::max_sums; ++k) sums[k] = lanes[k].of;
            const auto add = [&](Tile& here, std::int64_t first, std::int64_t count) {
                visitor.run({count, 0, end - first - count}, here, sums);
            };
            visitor.elements(at, math::min(end, at + sums::leaf), visitor.arrays_.at_once(), add);
            for (std::size_t k = 0; k < visit.pass.sums; ++k) *leaves++ = sums::total(lanes[k]);
        }
    }

    static void units(const Visit& visit, std::int64_t begin, std::int64_t end, const TableSums& sums) noexcept {
        Visitor visitor(visit);
        const std::int64_t leaves = sums::leaves_of(visit.tensor.columns);
        for (std::int64_t unit = begin, next; unit < end; unit = next) {
            const std::int64_t block_of_all = unit / leaves, before = block_of_all * leaves;
            next = math::min(end, before + leaves);
            visitor.block(sums, block_of_all, (unit - before) * sums::leaf,
                          math::min(visit.tensor.columns, (next - before) * sums::leaf));
        }
    }

private:
    using Tile = typename TileArrays<Isa, T>::Tile;

    explicit Visitor(const Visit& visit)
        : visit_(visit), arrays_(visit.pass.access, visit.tensor, visit.group_scale, visit.scale, visit.treatment) {}

    /// Visits columns [first, last) of a block of rows, counted over all matrices.
    void block(const TableSums& sums, std::int64_t block_of_all, std::int64_t first, std::int64_t last) {
        const std::int64_t rows = visit_.tensor.rows, columns = visit_.tensor.columns;
        const std::int64_t blocks = sums::blocks_of(rows), matrix = block_of_all / blocks;
        const std::int64_t from = (block_of_all - matrix * blocks) * sums::block;
        const std::int64_t row = matrix * rows + from, count = math::min(sums::block, rows - from);
        BlockSums<Isa> block_sums(sums, visit_.tensor, row, block_of_all, first, last);
        const auto visit_rows = [&](std::int64_t begin, std::int64_t end, std::int64_t next, std::int64_t at_once) {
            elements(begin, end, at_once, [&](Tile& here, std::int64_t at, std::int64_t some) {
                block_sums.for_each_part(some, [&](std::int64_t part, std::int64_t lane, double* const* of) {
                    at += part;
                    run({part, lane, next - at}, here, of);
                    here.move(part);
                });
            });
        };
        // Rows of which many are loaded at a time are loaded whole, so that each begins with the first lane.
        const std::int64_t behind = (row + count) * columns;
        const std::int64_t most = arrays_.at_once();
        if (columns <= most) return visit_rows(row * columns, behind, behind, most / columns * columns);
        const bool is_whole = first == 0 && last == columns;
        for (std::int64_t at = row * columns; at < behind; at += columns)
            visit_rows(at + first, at + last, is_whole ? behind : at + last, most);
    }

    /// Calls `f(tile, begin, count)` for the tiles of elements [begin, end). They have `at_once` elements and begin at
    /// `begin`, unless something is written: then they are those in which updates write too.
    template <class F>
    ADAMCORE_FN void elements(std::int64_t begin, std::int64_t end, std::int64_t at_once, F&& f) {
        const bool writes = visit_.pass.access.writes != 0;
        const auto visit_tile = [&](std::int64_t at, std::int64_t count) {
            auto here = arrays_.load(at, count);
            f(here, at, count);
            arrays_.store(at, count);
        };
        for_each_tile(writes ? 0 : begin, begin, end, writes ? arrays_.at_once() : at_once, visit_tile);
    }

    void run(const Span& span, const Tile& at, double* const* sums) const {
        visit_.pass.run(visit_.constants, arrays_.kernel_scale(), span, at.param, at.grad, at.state, sums);
    }

    const Visit& visit_;
    TileArrays<Isa, T> arrays_;
};

}  // namespace detail

template <class Isa, class T>
inline constexpr TileVisits tile_visits{detail::Visitor<Isa, T>::leaves, detail::Visitor<Isa, T>::units};

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <cstdint>

#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tile_arrays.hpp"
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
    std::int64_t row_terms[rule::max_sums], column_terms[rule::max_sums];  ///< where their terms begin
};

struct TileVisits {
    /// Visits elements [begin, end), `begin` a multiple of sums::leaf, and writes the sums of each leaf to `leaves`, those
    /// of one leaf side by side.
    void (*leaves)(const Visit& visit, std::int64_t begin, std::int64_t end, double* leaves) noexcept;
    /// Visits units [begin, end).
    void (*units)(const Visit& visit, std::int64_t begin, std::int64_t end, const TableSums& sums) noexcept;
};

namespace detail {

template <class Isa>
struct LaneAdder {
    /// Adds terms to the lanes, the first to lane `first` mod 32.
    ADAMCORE_OUTLINE static void add(sums::LaneSums& sums, std::int64_t first, const double* terms,
                                     std::int64_t count) {
        std::int64_t at = 0;
        for (std::int64_t lane = first % sums::lanes; lane % sums::lanes != 0 && at < count; ++lane, ++at)
            sums.of[lane] += terms[at];
        sums::LaneSums local = sums;
        for (; at + sums::lanes <= count; at += sums::lanes) {
            for (int lane = 0; lane < sums::lanes; ++lane) local.of[lane] += terms[at + lane];
        }
        for (int lane = 0; lane < count - at; ++lane) local.of[lane] += terms[at + lane];
        sums = local;
    }

    ADAMCORE_OUTLINE static void add_each(double* ADAMCORE_RESTRICT sums, const double* ADAMCORE_RESTRICT terms,
                                          std::int64_t count) {
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) sums[i] += terms[i];
    }
};

/// Distributes the terms of neighbouring elements of one unit to rows and columns.
template <class Isa>
class UnitSums {
public:
    /// A unit of `block` rows and a leaf of columns, [first, last), whose first row is `row` of all rows.
    UnitSums(const TableSums& sums, const Tensor& tensor, std::int64_t row, std::int64_t block_of_all,
             std::int64_t first, std::int64_t last)
        : sums_(sums),
          row_(row),
          leaves_(sums::leaves_of(tensor.columns)),
          leaf_(first / sums::leaf),
          first_(first),
          last_(last),
          column_(first),
          columns_(sums.columns + block_of_all * tensor.columns) {
        for (int k = 0; k < sums.column_sums; ++k) {
            for (std::int64_t c = first; c < last; ++c) column_sums(k)[c] = 0;
        }
    }

    void add(const double* terms, std::int64_t count) {
        for (std::int64_t at = 0, run; at < count; at += run) {
            run = math::min(last_ - column_, count - at);
            for (int k = 0; k < sums_.column_sums; ++k)
                LaneAdder<Isa>::add_each(column_sums(k) + column_, terms + sums_.column_terms[k] + at, run);
            for (int k = 0; k < sums_.row_sums; ++k)
                LaneAdder<Isa>::add(lanes_[k], column_ - first_, terms + sums_.row_terms[k] + at, run);
            column_ += run;
            if (column_ == last_) end_row();
        }
    }

private:
    double* column_sums(int k) const { return columns_ + k * sums_.column_stride; }

    void end_row() {
        for (int k = 0; k < sums_.row_sums; ++k) {
            sums_.rows[(row_ * leaves_ + leaf_) * sums_.row_sums + k] = sums::total(lanes_[k]);
            lanes_[k] = {};
        }
        column_ = first_;
        ++row_;
    }

    const TableSums& sums_;
    std::int64_t row_;
    const std::int64_t leaves_, leaf_, first_, last_;
    std::int64_t column_;
    double* columns_;
    sums::LaneSums lanes_[rule::max_sums];
};

template <class Isa, class T>
class Visitor {
public:
    static void leaves(const Visit& visit, std::int64_t begin, std::int64_t end, double* leaves) noexcept {
        Visitor visitor(visit);
        const auto sums = static_cast<int>(visit.pass.sums);
        for (std::int64_t at = begin; at < end; at += sums::leaf) {
            sums::LaneSums lanes[rule::max_sums];
            visitor.elements(0, at, math::min(end, at + sums::leaf),
                             [&](std::int64_t first, const double* terms, std::int64_t count) {
                                 for (int k = 0; k < sums; ++k)
                                     LaneAdder<Isa>::add(lanes[k], first, terms + k * visitor.size_, count);
                             });
            for (int k = 0; k < sums; ++k) *leaves++ = sums::total(lanes[k]);
        }
    }

    static void units(const Visit& visit, std::int64_t begin, std::int64_t end, const TableSums& sums) noexcept {
        Visitor visitor(visit);
        const std::int64_t rows = visit.tensor.rows, columns = visit.tensor.columns;
        const std::int64_t leaves = sums::leaves_of(columns), blocks = sums::blocks_of(rows);
        for (std::int64_t unit = begin; unit < end; ++unit) {
            const std::int64_t block_of_all = unit / leaves, matrix = block_of_all / blocks;
            const std::int64_t from = (block_of_all - matrix * blocks) * sums::block;
            const std::int64_t row = matrix * rows + from, count = math::min(sums::block, rows - from);
            const std::int64_t first = (unit - block_of_all * leaves) * sums::leaf;
            const std::int64_t last = math::min(columns, first + sums::leaf);
            UnitSums<Isa> unit_sums(sums, visit.tensor, row, block_of_all, first, last);
            const auto add = [&](std::int64_t, const double* terms, std::int64_t some) { unit_sums.add(terms, some); };
            if (leaves == 1) {
                visitor.elements(row * columns, row * columns, (row + count) * columns, add);
            } else {
                for (std::int64_t r = row; r < row + count; ++r)
                    visitor.elements(r * columns + first, r * columns + first, r * columns + last, add);
            }
        }
    }

private:
    explicit Visitor(const Visit& visit)
        : visit_(visit),
          size_(visit_size(visit.pass.sums)),
          arrays_(visit.pass.access, visit.tensor, visit.group_scale, visit.scale, visit.treatment) {}

    /// Calls `f(first, terms, count)` with the terms of elements [begin, end). Tiles begin at `origin` if nothing is
    /// written; what is written is rounded in tiles of the tensor.
    template <class F>
    ADAMCORE_FN void elements(std::int64_t origin, std::int64_t begin, std::int64_t end, F&& f) {
        if (visit_.pass.access.writes != 0) origin = 0;
        for_each_tile(origin, begin, end, [&](std::int64_t at, std::int64_t count) {
            auto here = arrays_.load(at, count);
            for (std::int64_t done = 0; done < count; done += size_) {
                const std::int64_t some = math::min(size_, count - done);
                visit_.pass.run(visit_.constants, arrays_.kernel_scale(), some, here.param, here.grad, here.state,
                                terms_);
                f(at + done, terms_, some);
                here.move(size_);
            }
            arrays_.store(at, count);
        });
    }

    const Visit& visit_;
    const std::int64_t size_;  ///< of what the kernel visits at a time
    TileArrays<Isa, T> arrays_;
    alignas(64) double terms_[most_terms];
};

}  // namespace detail

template <class Isa, class T>
inline constexpr TileVisits tile_visits{detail::Visitor<Isa, T>::leaves, detail::Visitor<Isa, T>::units};

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <unordered_map>

#include "regions/intervals.hpp"
#include "regions/region.hpp"

/// Memory viewed as rows of `stride` bytes. An array that touches runs `stride` bytes apart is a box of columns and
/// rows. Interleaved arrays, such as columns of one matrix, are compared by their boxes.
namespace adamcore::python {

/// Columns [left, right) of rows [top, bottom).
struct Box {
    std::uint64_t left, right, top, bottom;
};

/// Calls `look` for the boxes that contain a region, in a lattice of this stride, until it returns true. Returns
/// whether it did.
template <class Look>
bool for_each_box(const Region& region, std::uint64_t stride, Look&& look) {
    constexpr std::uint64_t most_columns = 16;
    const std::uint64_t left = region.begin % stride, top = region.begin / stride, bottom = (region.end - 1) / stride;
    const Gaps* const gaps = region.gaps.get();
    const std::uint64_t apart = gaps && gaps->rows > 1 ? std::gcd(gaps->stride, stride) : 0;
    if (apart == stride && gaps->run <= stride) {
        const std::uint64_t rows = (gaps->rows - 1) * (gaps->stride / stride) + 1, right = left + gaps->run;
        if (right <= stride) return look(Box{left, right, top, top + rows});
        return look(Box{left, stride, top, top + rows}) || look(Box{0, right - stride, top + 1, top + 1 + rows});
    }
    if (apart && gaps->run <= apart && stride / apart <= most_columns) {
        for (std::uint64_t column = left % apart; column < stride; column += apart) {
            const std::uint64_t right = column + gaps->run;
            if (look(Box{column, std::min(right, stride), top, bottom + 1})) return true;
            if (right > stride && look(Box{0, right - stride, top, bottom + 1})) return true;
        }
        return false;
    }
    const std::uint64_t right = (region.end - 1) % stride + 1;
    if (top == bottom) return look(Box{left, right, top, top + 1});
    return look(Box{left, stride, top, top + 1}) || (bottom > top + 1 && look(Box{0, stride, top + 1, bottom})) ||
           look(Box{0, right, bottom, bottom + 1});
}

/// Whether the boxes contain exactly what the region touches.
inline bool are_exact(const Region& region, std::uint64_t stride) {
    return !region.gaps || (region.gaps->is_full && region.gaps->stride == stride);
}

/// A set of boxes with values. Finding a box that intersects a given one takes O(log n) times the number of binary
/// digits of the columns.
///
/// Columns are halved repeatedly. A box is stored with the largest ranges that it fills, at most two for each halving.
/// If two boxes share a column, one of them has such a range inside one of the other's. So a range stores the rows of
/// the boxes that fill it, and of the boxes that fill ranges inside it.
template <class Value>
class Boxes {
public:
    using Rows = Interval<Value>;

    explicit Boxes(std::uint64_t stride) {
        while (levels_ < 63 && (std::uint64_t{1} << levels_) < stride) ++levels_;
    }

    /// Calls `keep(rows)`, which must not fail, for each node that it creates. The caller owns the nodes. Increments
    /// `number`.
    template <class Keep>
    void insert(const Box& box, Value value, std::uint64_t& number, Keep&& keep) {
        const auto add = [&](Rows*& root) {
            auto* rows = new Rows(box.top, box.bottom, value);
            intervals::insert(root, rows, number++);
            keep(rows);
            return false;
        };
        for_each_range(
            box, [&](std::uint64_t range) { return add(ranges_[range].filling); },
            [&](std::uint64_t range) { return add(ranges_[range].within); });
    }

    /// Calls `look` for the values whose boxes intersect this one, until it returns true. It may see some values
    /// repeatedly.
    template <class Look>
    bool visit(const Box& box, Look&& look) const {
        const auto look_at = [&](Rows* root) {
            return intervals::visit(root, box.top, box.bottom, [&](const Rows& rows) { return look(rows.value); });
        };
        return for_each_range(
            box,
            [&](std::uint64_t range) {
                const auto found = ranges_.find(range);
                return found != ranges_.end() && (look_at(found->second.filling) || look_at(found->second.within));
            },
            [&](std::uint64_t range) {
                const auto found = ranges_.find(range);
                return found != ranges_.end() && look_at(found->second.filling);
            });
    }

private:
    struct Range {
        Rows *filling = nullptr, *within = nullptr;
    };

    /// Calls `filled` for the largest ranges that the box fills, and `around` for the ranges that contain one of these,
    /// until one of them returns true.
    template <class Filled, class Around>
    bool for_each_range(const Box& box, Filled&& filled, Around&& around) const {
        std::uint64_t next = box.left, end = box.right;  // of the ranges of this level that are not in a filled one yet
        for (int level = 0; level <= levels_; ++level) {
            const auto range = [&](std::uint64_t i) { return i << 6 | static_cast<std::uint64_t>(level); };
            if (next < end && next % 2 == 1 && filled(range(next++))) return true;
            if (next < end && end % 2 == 1 && filled(range(--end))) return true;
            const std::uint64_t first = box.left >> level, last = (box.right - 1) >> level;
            const auto is_filled = [&](std::uint64_t i) {
                return i << level >= box.left && (i + 1) << level <= box.right;
            };
            if (!is_filled(first) && around(range(first))) return true;
            if (last != first && !is_filled(last) && around(range(last))) return true;
            next /= 2, end /= 2;
        }
        return false;
    }

    int levels_ = 0;
    std::unordered_map<std::uint64_t, Range> ranges_;
};

}  // namespace adamcore::python

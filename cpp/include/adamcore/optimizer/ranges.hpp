#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "adamcore/dtype.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore::detail {

/// Which memory the parameters of an optimizer occupy. Strided parameters, which may interleave, are not looked at.
class Ranges {
public:
    /// Throws std::invalid_argument if the tensor shares memory with another.
    void require_apart(const Tensor& tensor, std::size_t index) const {
        const Range range = range_of(tensor, index);
        if (range.begin == range.end) return;
        const auto next = first_behind(range);
        const bool meets_next = next != ranges_.end() && next->begin < range.end;
        const bool meets_last = next != ranges_.begin() && std::prev(next)->end > range.begin;
        if (!meets_next && !meets_last) return;
        const Range& other = meets_next ? *next : *std::prev(next);
        throw std::invalid_argument("tensor " + std::to_string(index) + " shares memory with tensor " +
                                    std::to_string(other.tensor) + ", and would be updated twice");
    }

    /// Reserves space for one more, so that add() cannot fail.
    void make_room() {
        if (ranges_.size() == ranges_.capacity()) ranges_.reserve(2 * ranges_.size() + 1);
    }
    void add(const Tensor& tensor, std::size_t index) noexcept {
        const Range range = range_of(tensor, index);
        if (range.begin != range.end) ranges_.insert(first_behind(range), range);
    }

private:
    struct Range {
        std::uintptr_t begin, end;
        std::size_t tensor;
    };

    static Range range_of(const Tensor& tensor, std::size_t index) {
        const auto begin = reinterpret_cast<std::uintptr_t>(tensor.param);
        const auto size = tensor.layout ? 0 : static_cast<std::uintptr_t>(tensor.size);
        return {begin, begin + size * size_of(tensor.dtype), index};
    }
    std::vector<Range>::const_iterator first_behind(const Range& range) const {
        return std::upper_bound(ranges_.begin(), ranges_.end(), range,
                                [](const Range& a, const Range& b) { return a.begin < b.begin; });
    }

    std::vector<Range> ranges_;  ///< in the order of addresses
};

}  // namespace adamcore::detail

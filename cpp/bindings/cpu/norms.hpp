#pragma once

#include <cstdint>
#include <vector>

#include "adamcore/cpu/norm.hpp"

namespace adamcore::python {

/// Measures many arrays at once, and keeps the memory that this needs for the next call.
class Norms {
public:
    void clear() { arrays_.clear(); }
    void add(const norm::Reading& array) { arrays_.push_back(array); }
    std::size_t size() const { return arrays_.size(); }

    /// Reads all arrays in one pass over their memory. Does not need the GIL.
    void measure();

    /// The sum of squares of array `i`.
    norm::Squares of(std::size_t i) const { return totals_[i]; }
    /// The sum of squares of all arrays, or of `count` arrays starting with array `begin`.
    norm::Squares sum() const { return sum(0, totals_.size()); }
    norm::Squares sum(std::size_t begin, std::size_t count) const;

private:
    std::vector<norm::Reading> arrays_;
    std::vector<std::int64_t> first_leaf_;
    std::vector<norm::Squares> leaves_, totals_;
    mutable std::vector<norm::Squares> pairs_;
};

}  // namespace adamcore::python

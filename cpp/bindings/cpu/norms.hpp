#pragma once

#include <cstdint>
#include <vector>

#include "adamcore/cpu/norm.hpp"

namespace adamcore::python {

/// Measures many arrays at once, and keeps the memory that this takes.
class Norms {
public:
    void clear() { arrays_.clear(); }
    void add(const norm::Reading& array) { arrays_.push_back(array); }
    std::size_t size() const { return arrays_.size(); }

    /// Reads all of the arrays, the one pass over their memory. Needs no GIL.
    void measure();

    /// The sum of squares of array `i`.
    norm::Squares of(std::size_t i) const { return totals_[i]; }
    /// Of all arrays together; or of `count` from array `begin` on.
    norm::Squares sum() const { return sum(0, totals_.size()); }
    norm::Squares sum(std::size_t begin, std::size_t count) const;

private:
    std::vector<norm::Reading> arrays_;
    std::vector<std::int64_t> first_leaf_;
    std::vector<norm::Squares> leaves_, totals_;
    mutable std::vector<norm::Squares> pairs_;
};

}  // namespace adamcore::python

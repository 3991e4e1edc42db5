#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/cpu/norm.hpp"

/// Norms of gradients: the pass that reads them, and the functions on arrays by themselves.
namespace adamcore::python {

namespace py = pybind11;

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

/// The global L2 norm of arrays.
double global_norm(const py::list& arrays, const std::vector<std::string>& labels);

/// Scales arrays in place so that their global norm is at most `max_norm`, and returns what it was. Arrays are left
/// alone if it is not finite.
double clip_norm(const py::list& arrays, const std::vector<std::string>& labels, double max_norm);

/// Holds the elements of arrays to [-value, value], in place.
void clip_value(const py::list& arrays, const std::vector<std::string>& labels, double value);

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// The slopes of all pairs of `values`, of which at least two are given at distances of 1: the one that is at `place` when
/// they are sorted, and the one that is as far from the end. `place` is less than half of their number.
std::pair<double, double> slope_interval(const std::vector<double>& values, std::size_t place);

/// The correlation between neighbours of what is left of `values`, two or more, above the straight line through them
/// that has the least squares; 0 if nothing is left.
double neighbour_correlation(const std::vector<double>& values);

/// Defines `slope_interval` and `neighbour_correlation`.
void define_trends(pybind11::module_& m);

}  // namespace adamcore::python

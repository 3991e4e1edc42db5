#include "trends/slopes.hpp"

#include <algorithm>
#include <stdexcept>

#include <pybind11/stl.h>

#include "runtime/environment.hpp"

namespace adamcore::python {

namespace py = pybind11;

std::pair<double, double> slope_interval(const std::vector<double>& values, std::size_t place) {
    std::vector<double> slopes;
    slopes.reserve(values.size() * (values.size() - 1) / 2);
    for (std::size_t j = 1; j < values.size(); ++j) {
        for (std::size_t i = 0; i < j; ++i) slopes.push_back((values[j] - values[i]) / static_cast<double>(j - i));
    }
    if (2 * place >= slopes.size()) throw std::invalid_argument("slope_interval: place must be in the first half");
    const auto low = slopes.begin() + static_cast<std::ptrdiff_t>(place);
    const auto high = slopes.end() - 1 - static_cast<std::ptrdiff_t>(place);
    std::nth_element(slopes.begin(), low, slopes.end());
    if (high != low) std::nth_element(low + 1, high, slopes.end());
    return {*low, *high};
}

double neighbour_correlation(const std::vector<double>& values) {
    const auto count = static_cast<double>(values.size());
    const double middle = 0.5 * (count - 1), spread = count * (count * count - 1) / 12;
    double sum = 0, moment = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        sum += values[i];
        moment += (static_cast<double>(i) - middle) * values[i];
    }
    const double mean = sum / count, slope = moment / spread;
    double before = 0, squares = 0, products = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double rest = values[i] - mean - slope * (static_cast<double>(i) - middle);
        squares += rest * rest;
        products += rest * before;
        before = rest;
    }
    return squares > 0 ? products / squares : 0;
}

void define_trends(py::module_& m) {
    m.def("neighbour_correlation", &neighbour_correlation, py::arg("values"),
          "Return the correlation between neighbours of what is left of values above a straight line.", Computes());
    m.def("slope_interval", &slope_interval, py::arg("values"), py::arg("place"),
          "Return two of the sorted slopes of all pairs of values: that at a place, and that as far from the end.",
          Computes());
}

}  // namespace adamcore::python

#include "norms.hpp"

#include <limits>
#include <memory>

#include "arrays.hpp"
#include "regions.hpp"
#include "settings.hpp"
#include "walk.hpp"

namespace adamcore::python {
namespace {

/// Arrays that were passed by themselves.
class Given {
public:
    Given(const py::list& arrays, const std::vector<std::string>& labels, Access access) {
        walks_.reserve(arrays.size());
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            const py::object array = arrays[i];
            const ArrayView view = view_of(array, access, labels[i]);
            const bool in_any_order = access == Access::write && is_dense(view);
            walks_.emplace_back(view, in_any_order ? memory_order(view) : c_order(view.ndim));
            readings_.push_back({view.data, view.size, view.dtype, walks_.back().axes()});
            if (access == Access::write) {
                const auto region = Regions::region_of(view, array, static_cast<std::int64_t>(i));
                regions_.add(region, owner_of(array.ptr()));
            }
        }
        regions_.sort();
        if (const auto overlap = regions_.find_overlap()) {
            const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
            throw py::value_error(labels[static_cast<std::size_t>(second)] + ": shares memory with " +
                                  labels[static_cast<std::size_t>(first)] + ", so it would be changed twice");
        }
    }

    const std::vector<norm::Reading>& readings() const { return readings_; }

    void rescale(double factor, double limit) const {
        const cpu::Threads threads = pool();
        std::vector<plan::Cut> cuts(cpu::max_parts + 1);
        std::vector<std::int64_t> first_leaf(readings_.size() + 1);
        const auto count = static_cast<std::int64_t>(readings_.size());
        const int parts = cpu::plan_norm(readings_.data(), count, threads.size(), cuts.data(), first_leaf.data());
        cpu::rescale(kernels(), readings_.data(), cuts.data(), parts, threads, factor, limit);
    }

private:
    std::vector<Walk> walks_;
    std::vector<norm::Reading> readings_;
    Regions regions_;
};

/// Readings in C order, so that the norm does not depend on how arrays lie in memory.
norm::Squares squares_of(const py::list& arrays, const std::vector<std::string>& labels) {
    const Given given(arrays, labels, Access::read);
    Norms norms;
    for (const norm::Reading& reading : given.readings()) {
        if (reading.size > 0) norms.add(reading);
    }
    const py::gil_scoped_release release;
    norms.measure();
    return norms.sum();
}

}  // namespace

void Norms::measure() {
    const cpu::Threads threads = pool();
    const auto count = static_cast<std::int64_t>(arrays_.size());
    plan::Cut cuts[cpu::max_parts + 1];
    first_leaf_.resize(arrays_.size() + 1);
    const int parts = cpu::plan_norm(arrays_.data(), count, threads.size(), cuts, first_leaf_.data());
    leaves_.resize(static_cast<std::size_t>(first_leaf_.back()));
    totals_.resize(arrays_.size());
    cpu::measure(kernels(), arrays_.data(), cuts, parts, threads, first_leaf_.data(), leaves_.data());
    cpu::add_leaves(count, first_leaf_.data(), leaves_.data(), totals_.data());
}

norm::Squares Norms::sum(std::size_t begin, std::size_t count) const {
    const auto first = totals_.begin() + static_cast<std::ptrdiff_t>(begin);
    pairs_.assign(first, first + static_cast<std::ptrdiff_t>(count));
    return norm::sum_pairs(pairs_.data(), static_cast<std::int64_t>(count));
}

double global_norm(const py::list& arrays, const std::vector<std::string>& labels) {
    return norm::root(squares_of(arrays, labels));
}

double clip_norm(const py::list& arrays, const std::vector<std::string>& labels, double max_norm) {
    const Given given(arrays, labels, Access::write);
    const norm::Squares squares = squares_of(arrays, labels);
    const double factor = norm::clip_factor(squares, 1, max_norm);
    const py::gil_scoped_release release;
    if (factor < 1) given.rescale(factor, std::numeric_limits<double>::infinity());
    return norm::root(squares);
}

void clip_value(const py::list& arrays, const std::vector<std::string>& labels, double value) {
    const Given given(arrays, labels, Access::write);
    const py::gil_scoped_release release;
    given.rescale(1, value);
}

}  // namespace adamcore::python

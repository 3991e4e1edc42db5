#include "cpu/norms.hpp"

#include <limits>

#include "cpu/dispatch.hpp"
#include "cpu/functional.hpp"
#include "gate/walk.hpp"
#include "gate/written.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// Arrays as they are walked in the order that `order_of(view)` gives.
struct Readings {
    template <class OrderOf>
    Readings(const std::vector<Taken>& arrays, OrderOf order_of) {
        walks.reserve(arrays.size());
        for (const Taken& taken : arrays) {
            const ArrayView& view = taken.view;
            walks.emplace_back(view, order_of(view));
            all.push_back({view.data, view.size, view.dtype, walks.back().axes()});
        }
    }
    Readings(const Readings&) = delete;
    Readings& operator=(const Readings&) = delete;

    std::vector<Walk> walks;
    std::vector<norm::Reading> all;
};

/// For norms, which do not depend on how arrays lie in memory.
Order order_of_numbers(const ArrayView& view) { return c_order(view.ndim); }

norm::Squares squares_of(const Readings& readings) {
    Norms norms;
    for (const norm::Reading& reading : readings.all) {
        if (reading.size > 0) norms.add(reading);
    }
    const GilRelease release;
    norms.measure();
    return norms.sum();
}

void rescale(const Readings& readings, Scale factor, double limit) {
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    std::vector<std::int64_t> first_leaf(readings.all.size() + 1);
    const auto count = static_cast<std::int64_t>(readings.all.size());
    const GilRelease release;
    const int parts = cpu::plan_norm(readings.all.data(), count, threads.size(), cuts, first_leaf.data());
    cpu::rescale(kernels(), readings.all.data(), cuts, parts, threads, factor, limit);
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
    const std::vector<Taken> taken = take_all(arrays, labels, numpy_gate());
    return norm::root(squares_of(Readings(taken, order_of_numbers)));
}

double clip_norm(const py::list& arrays, const std::vector<std::string>& labels, double max_norm) {
    const std::vector<Taken> taken = take_written(arrays, labels, numpy_gate());
    // Both before the GIL is let go, since a view borrows its shape from the array.
    const Readings to_measure(taken, order_of_numbers), to_rescale(taken, memory_order);
    const norm::Squares squares = squares_of(to_measure);
    const Scale factor = norm::clip_factor(squares, 1, max_norm);
    if (factor < 1) {
        rescale(to_rescale, factor, std::numeric_limits<double>::infinity());
        note_written_among(arrays);
    }
    return norm::root(squares);
}

void clip_value(const py::list& arrays, const std::vector<std::string>& labels, double value) {
    const std::vector<Taken> taken = take_written(arrays, labels, numpy_gate());
    rescale(Readings(taken, memory_order), 1, value);
    note_written_among(arrays);
}

}  // namespace adamcore::python

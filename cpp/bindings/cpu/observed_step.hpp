#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <pybind11/numpy.h>

#include "adamcore/cpu/statistics/observer.hpp"
#include "cpu/host_optimizer.hpp"
#include "gate/walk.hpp"

namespace adamcore::python {

/// The statistics of one step.
class HostOptimizer::ObservedStep {
public:
    /// Makes room for these columns (bits of statistics::Column), before anything has changed. If the step `measures`
    /// gradients, the squares are taken from there, unless they were summed unit by unit.
    ObservedStep(const HostOptimizer& optimizer, unsigned columns, bool measures);

    /// What a result adds to this: one row for each column, in the order of statistics::Column, and how many numbers each
    /// parameter has. The rows are filled by finish().
    py::tuple with_table(const py::object& result) const { return py::make_tuple(result, table_, sizes_); }

    /// Looks at the tensors of the step. Called when their state is what the step updates, and the step is counted.
    void begin() noexcept;
    const cpu::Observer& observer() const { return observer_; }
    const plan::Cut* cuts() const { return cuts_.data(); }
    int parts() const { return cut_parts_; }

    /// Observes only the gradients, for a step that is skipped.
    void observe_grads() noexcept;
    /// Fills the table. Gradients are multiplied by `unscaling`. Returns their norm.
    double finish(Scale unscaling, bool is_updated) noexcept;

private:
    /// How a tensor that is not visited in C order is walked in this order: gradient, state in half precision, and
    /// what is of the compute type.
    struct Permuted {
        Walk halves, whole;
        std::unique_ptr<std::byte[]> before, after;
    };

    void permute(std::size_t i);
    void look_at(std::size_t i) noexcept;
    norm::Reading moment(std::size_t i, int slot, const Permuted* permuted) const noexcept;

    const HostOptimizer& optimizer_;
    const bool measures_;  ///< whether the squares of gradients come from their norms
    py::array_t<double> table_;
    py::array_t<std::int64_t> sizes_;
    double* numbers_;                                  ///< of the table
    std::vector<cpu::Observed> observed_;              ///< by parameter
    std::vector<rule::SecondMoment> seconds_;          ///< by parameter
    std::vector<std::unique_ptr<Permuted>> permuted_;  ///< by parameter, where there are any
    std::vector<statistics::Sums> leaves_;
    std::vector<norm::Squares> squares_;  ///< of the parameters that have a gradient
    std::vector<plan::Cut> cuts_;
    int cut_parts_;
    std::unique_ptr<cpu::ObserverRoom[]> rooms_;
    std::atomic<int> used_rooms_{0};
    cpu::Observer observer_;
};

}  // namespace adamcore::python

#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <pybind11/pybind11.h>

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/statistics/observation.hpp"
#include "runtime/gil.hpp"
#include "structures/names.hpp"

namespace adamcore::python {

/// The result of a step on a device, which is read on demand.
class StepReport {
public:
    StepReport(cuda::Report report, SpikeLimit limit, std::shared_ptr<const Names> names, Names::By by)
        : report_(std::move(report)), limit_(limit), names_(std::move(names)), by_(by) {}

    /// Whether the step was skipped, the gradients' norm, the label of the first gradient that is not finite, or None,
    /// and whether the norm is a spike. Waits for the optimizer's latest step.
    py::tuple read() {
        if (!known_ || report_.is_captured()) {
            const cuda::Outcome outcome = [&] {
                const GilRelease release;
                return report_.read();
            }();
            known_ = outcome;
        }
        const cuda::Outcome& outcome = *known_;
        return py::make_tuple(outcome.skipped != 0, outcome.norm,
                              outcome.culprit < 0
                                  ? py::object(py::none())
                                  : py::str(names_->grad_label(static_cast<std::size_t>(outcome.culprit), by_)),
                              outcome.culprit < 0 && outcome.norm > limit_.norm);
    }

private:
    cuda::Report report_;
    SpikeLimit limit_;
    std::shared_ptr<const Names> names_;
    Names::By by_;
    std::optional<cuda::Outcome> known_;
};

/// The statistics of a step on a device, which are read on demand.
class StatisticsReport {
public:
    explicit StatisticsReport(std::shared_ptr<const cuda::Observation> observation)
        : observation_(std::move(observation)) {}
    StatisticsReport(StatisticsReport&&) = default;
    ~StatisticsReport() {
        if (!observation_) return;
        const GilRelease release;  // releasing memory may wait for the device
        observation_.reset();
    }

    /// The bytes of a table of doubles, with a row for each of statistics::Column, and the gradients' norm. Waits for the
    /// optimizer's latest step.
    py::tuple read() const {
        const cuda::Observation::Result result = [&] {
            const GilRelease release;
            return observation_->read();
        }();
        const auto* const bytes = reinterpret_cast<const char*>(result.table.data());
        return py::make_tuple(py::bytes(bytes, result.table.size() * sizeof(double)), result.norm);
    }

private:
    std::shared_ptr<const cuda::Observation> observation_;
};

}  // namespace adamcore::python

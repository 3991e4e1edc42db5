#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <pybind11/pybind11.h>

#include "adamcore/cuda/engine.hpp"
#include "optimizer/names.hpp"

namespace adamcore::python {

/// The result of a step on a device, which is read on demand.
class StepReport {
public:
    StepReport(cuda::Report report, std::shared_ptr<const Names> names, bool by_name)
        : report_(std::move(report)), names_(std::move(names)), by_name_(by_name) {}

    /// Whether the step was skipped, the gradients' norm, and the label of the first gradient that is not finite, or
    /// None. Waits for the optimizer's latest step.
    py::tuple read();

private:
    cuda::Report report_;
    std::shared_ptr<const Names> names_;
    bool by_name_;
    std::optional<cuda::Outcome> known_;
};

}  // namespace adamcore::python

#pragma once

#include <optional>
#include <vector>

#include "device_optimizer.hpp"

namespace adamcore::python {

/// A step with an open window of accumulation. While it lives, the sums of the window are the tensors' gradients.
class DeviceOptimizer::WindowStep {
public:
    /// `last` is the leaf that the step itself brings, if there is one. Raises an error before anything has changed.
    WindowStep(DeviceOptimizer& of, std::optional<Leaf> last);
    ~WindowStep();
    WindowStep(const WindowStep&) = delete;
    WindowStep& operator=(const WindowStep&) = delete;

    /// Queues the addition of the last leaf, and completes the request of the step. If the step `raises`, the sums are
    /// copied first. Raises an error before anything has changed.
    void add(cuda::StepRequest& request, bool raises);
    /// Empties the window when the step has been queued. If the step `raises`, waits for it; if a gradient is not finite, the
    /// window becomes what it was.
    void end(const std::optional<cuda::Report>& report, bool raises);

private:
    void back_up();
    void copy(bool back) const;

    DeviceOptimizer& optimizer_;
    std::optional<Leaf> leaf_;
    std::vector<Tensor> saved_;  ///< the sums that the leaf changes; the copies are in Tensor::state
    StateBlock backup_;
};

}  // namespace adamcore::python

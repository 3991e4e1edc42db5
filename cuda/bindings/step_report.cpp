#include "step_report.hpp"

#include "runtime/gil.hpp"

namespace adamcore::python {

py::tuple StepReport::read() {
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
                              : py::str(names_->grad_label(static_cast<std::size_t>(outcome.culprit), by_name_)));
}

}  // namespace adamcore::python

// How the CUDA optimizer's averages of weights follow its steps.

#include <utility>

#include "device_optimizer.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

/// (Replays of captured steps go on with averages, and the host does not notice.)
void DeviceOptimizer::read_averages() {
    if (!engine_ || averages_.empty() || (are_averages_known_ && !engine_->has_captured())) return;
    const std::vector<WeightAverage::Progress> found = [&] {
        const GilRelease release;
        return engine_->averages();
    }();
    for (std::size_t k = 0; k < found.size(); ++k) averages_[k].progress = found[k];
    are_averages_known_ = true;
}

void DeviceOptimizer::require_new_averages() const {
    if (engine_ && engine_->has_captured())
        throw cuda::Error(
            "averages of weights cannot be added after a step has been captured into a CUDA graph: make another "
            "optimizer");
}

void DeviceOptimizer::load_averages() {
    are_averages_known_ = true;
    if (!engine_ || averages_.empty()) return;
    std::vector<WeightAverage::Progress> progress;
    for (const Averaged& each : averages_) progress.push_back(each.progress);
    const GilRelease release;
    engine_->set_progress(progress);
}

void DeviceOptimizer::send_averages() {
    if (!are_averages_changed_) return;
    read_averages();
    std::vector<cuda::FollowedAverage> averages;
    for (const Averaged& each : averages_)
        averages.push_back({each.average, each.progress, pass_of(each.average.kind), arrays_of_slot(each.slot.name)});
    engine_->set_averages(std::move(averages));
    are_averages_changed_ = false;
}

}  // namespace adamcore::python

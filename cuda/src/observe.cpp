// How an engine observes its steps.

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/statistics/observation.hpp"
#include "state.hpp"

namespace adamcore::cuda {
std::shared_ptr<Observation> Engine::observe(const std::vector<ObservedWalks>& walks, unsigned parts, Stream stream) {
    const DeviceScope scope(device_);
    cuda::observe_early.load();
    cuda::observe_late.load();
    return std::make_shared<Observation>(device_, *observations_, entries_, groups_, walks, parts, stream);
}

ObserveArguments Engine::observed_by(const StepRequest& request, const void* const* grads) const {
    ObserveArguments a = request.observation->arguments();
    a.tensors = plan_.tensors;
    a.grads = grads;
    a.control = state_->control;
    a.scaling = request.scaling;
    a.loss_scale = request.loss_scale;
    a.divisor = request.divisor;
    return a;
}

/// Gradients, first moments and weights before the step, which may change all but the first, and the scale, too.
void Engine::observe_early(const StepRequest& request, const void* const* grads) const {
    request.observation->keep_weights();
    cuda::observe_early(request.observation->blocks(), observed_by(request, grads), request.stream);
}

void Engine::observe_late(const StepRequest& request, const void* const* grads) const {
    cuda::observe_late(request.observation->blocks(), observed_by(request, grads), request.stream);
    request.observation->queued(entries_, sequence_);
}

}  // namespace adamcore::cuda

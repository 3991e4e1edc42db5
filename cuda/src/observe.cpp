// How an engine observes its steps.

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/observation.hpp"
#include "state.hpp"

namespace adamcore::cuda {
namespace {

/// The place of weight_pass::Average.
constexpr std::size_t average = adamcore::detail::index_in<weight_pass::Average>(weight_pass::All{});

}  // namespace

std::shared_ptr<Observation> Engine::observe(const std::vector<ObservedWalks>& walks, unsigned parts, Stream stream) {
    return std::make_shared<Observation>(device_, entries_, groups_, walks, parts, stream);
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
    const Observation& observation = *request.observation;
    if (!observation.copied().empty())
        run_weight_pass(device_, average, observation.copied(), std::vector<double>(groups_.size(), 1.0),
                        settings_.seed, request.stream);
    cuda::observe_early(observation.blocks(), observed_by(request, grads), request.stream);
}

void Engine::observe_late(const StepRequest& request, const void* const* grads) const {
    cuda::observe_late(request.observation->blocks(), observed_by(request, grads), request.stream);
    request.observation->queued(entries_, sequence_);
}

}  // namespace adamcore::cuda

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

const Launch<ObserveArguments> observe_early = kernel_in_phases<ObserveLeaves<ObserveEarly>>;
const Launch<ObserveArguments> observe_late = kernel_in_phases<ObserveLeaves<ObserveLate>>;

}  // namespace adamcore::cuda

#include "adamcore/weights/passes.hpp"
#include "updates.hpp"

namespace adamcore::cuda {

const Launch<AdvanceArguments> advance = kernel_alone<Advance>;
const WeightLaunches weights_float = stored_launches<float>(weight_pass::All{});
const WeightLaunches weights_double = stored_launches<double>(weight_pass::All{});

}  // namespace adamcore::cuda

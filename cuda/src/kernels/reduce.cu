#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

const Launch<MeasureArguments> measure = kernel_in_phases<Measure>;
const Launch<FoldArguments> fold = kernel_in_phases<Fold>;
const Launch<UnitArguments> units = kernel_alone<Units>;
const Launch<LookArguments> look = kernel_in_phases<Look>;
const Launch<RescaleArguments> rescale = kernel_alone<Rescale>;
const Launch<StartArguments> start = kernel_alone<Start>;

}  // namespace adamcore::cuda

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

const Launch<MeasureArguments> measure = launch_in_phases<Measure>;
const Launch<FoldArguments> fold = launch_in_phases<Fold>;
const Launch<UnitArguments> units = launch_alone<Units>;
const Launch<LookArguments> look = launch_in_phases<Look>;
const Launch<DecideArguments> decide = launch_in_phases<Decide>;
const Launch<RescaleArguments> rescale = launch_alone<Rescale>;
const Launch<StartArguments> start = launch_alone<Start>;

}  // namespace adamcore::cuda

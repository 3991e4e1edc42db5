#include "adamcore/passes/leaves.hpp"
#include "updates.hpp"

namespace adamcore::cuda {

const LeafLaunches leaves_float = stored_launches<float>(leaf::All{});
const LeafLaunches leaves_double = stored_launches<double>(leaf::All{});

}  // namespace adamcore::cuda

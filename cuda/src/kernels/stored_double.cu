#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches stored_double = stored_launches<double>(rules::All{});

}  // namespace adamcore::cuda

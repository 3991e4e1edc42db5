#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches stored_float = stored_launches<float>(rules::All{});

}  // namespace adamcore::cuda

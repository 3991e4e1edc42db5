#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches stored_float = launches_of<StoredUpdate, float>(rules::All{});

}  // namespace adamcore::cuda

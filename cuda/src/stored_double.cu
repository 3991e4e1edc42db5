#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches stored_double = launches_of<StoredUpdate, double>(rules::All{});

}  // namespace adamcore::cuda

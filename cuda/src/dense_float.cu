#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches dense_float = launches_of<DenseUpdate, float>(rules::All{});

}  // namespace adamcore::cuda

#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches dense_double = launches_of<DenseUpdate, double>(rules::All{});

}  // namespace adamcore::cuda

#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches dense_double = dense_launches<double>(rules::All{});

}  // namespace adamcore::cuda

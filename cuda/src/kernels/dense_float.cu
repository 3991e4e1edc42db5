#include "updates.hpp"

namespace adamcore::cuda {

const UpdateLaunches dense_float = dense_launches<float>(rules::All{});

}  // namespace adamcore::cuda

#include "passes.hpp"

namespace adamcore::cuda {

const VisitLaunches visit_dense_float = visits_of<float, true>(rules::All{});

}  // namespace adamcore::cuda

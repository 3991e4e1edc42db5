#include "passes.hpp"

namespace adamcore::cuda {

const VisitLaunches visit_dense_double = visits_of<double, true>(rules::All{});

}  // namespace adamcore::cuda

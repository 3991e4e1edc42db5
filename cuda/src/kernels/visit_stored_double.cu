#include "passes.hpp"

namespace adamcore::cuda {

const VisitLaunches visit_stored_double = visits_of<double, false>(rules::All{});

}  // namespace adamcore::cuda

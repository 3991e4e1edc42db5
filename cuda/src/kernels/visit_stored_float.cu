#include "passes.hpp"

namespace adamcore::cuda {

const VisitLaunches visit_stored_float = visits_of<float, false>(rules::All{});

}  // namespace adamcore::cuda

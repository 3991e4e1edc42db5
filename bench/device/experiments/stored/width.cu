#include "stored/width.hpp"

namespace adamcore::experiments {

Variants stored_width_variants() { return stored_width_variants<Conversion::integer>("raw"); }

}  // namespace adamcore::experiments

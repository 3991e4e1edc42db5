#include "stored/width.hpp"

namespace adamcore::experiments {

Variants stored_width_variants_by_hardware() { return stored_width_variants<Conversion::hardware>("raw+cvt"); }

}  // namespace adamcore::experiments

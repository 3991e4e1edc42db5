#include "stored/forms.hpp"

namespace adamcore::experiments {

Variants stored_raw_variants() {
    return {
        stored_variant<Form<Conversion::integer, Philox::each, 2>>("raw"),
        stored_variant<Form<Conversion::integer, Philox::each, 3>>("raw+3"),
        stored_variant<Form<Conversion::hardware, Philox::each, 2>>("raw+cvt"),
        stored_variant<Form<Conversion::hardware, Philox::each, 3>>("raw+cvt+3"),
    };
}

}  // namespace adamcore::experiments

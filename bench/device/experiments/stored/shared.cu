#include "stored/forms.hpp"

namespace adamcore::experiments {

Variants stored_shared_variants() {
    return {
        stored_variant<Form<Conversion::integer, Philox::tile, 2>>("raw+tile"),
        stored_variant<Form<Conversion::integer, Philox::tile, 3>>("raw+tile+3"),
        stored_variant<Form<Conversion::integer, Philox::warp, 2>>("raw+warp"),
        stored_variant<Form<Conversion::hardware, Philox::tile, 2>>("raw+cvt+tile"),
        stored_variant<Form<Conversion::hardware, Philox::tile, 3>>("raw+cvt+tile+3"),
        stored_variant<Form<Conversion::hardware, Philox::warp, 2>>("raw+cvt+warp"),
        stored_variant<Form<Conversion::hardware, Philox::warp, 3>>("raw+cvt+warp+3"),
    };
}

}  // namespace adamcore::experiments

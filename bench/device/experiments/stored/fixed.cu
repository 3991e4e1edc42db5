#include "stored/forms.hpp"

namespace adamcore::experiments {
namespace {

template <Dtype state, WeightPolicy kept>
Variants fixed() {
    return {
        stored_variant<Fixed<Form<Conversion::hardware, Philox::tile, 2>, state, kept>>("fixed+cvt+tile"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 2>, state, kept>>("fixed+cvt+warp"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 3>, state, kept>>("fixed+cvt+warp+3"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 4>, state, kept>>("fixed+cvt+warp+4"),
    };
}

}  // namespace

Variants stored_fixed_variants(WeightPolicy weights) {
    switch (weights) {
        case WeightPolicy::master: return fixed<Dtype::float32, WeightPolicy::master>();
        case WeightPolicy::remainder: return fixed<Dtype::bfloat16, WeightPolicy::remainder>();
        case WeightPolicy::stochastic: return fixed<Dtype::bfloat16, WeightPolicy::stochastic>();
        case WeightPolicy::plain:
        case WeightPolicy::compensated: break;
    }
    return {};
}

}  // namespace adamcore::experiments

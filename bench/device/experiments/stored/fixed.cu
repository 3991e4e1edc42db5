#include "stored/forms.hpp"

namespace adamcore::experiments {
namespace {

template <Dtype state, Weights kept>
Variants fixed() {
    return {
        stored_variant<Fixed<Form<Conversion::hardware, Philox::tile, 2>, state, kept>>("fixed+cvt+tile"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 2>, state, kept>>("fixed+cvt+warp"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 3>, state, kept>>("fixed+cvt+warp+3"),
        stored_variant<Fixed<Form<Conversion::hardware, Philox::warp, 4>, state, kept>>("fixed+cvt+warp+4"),
    };
}

}  // namespace

Variants stored_fixed_variants(Weights weights) {
    switch (weights) {
        case Weights::master: return fixed<Dtype::float32, Weights::master>();
        case Weights::remainder: return fixed<Dtype::bfloat16, Weights::remainder>();
        case Weights::stochastic: return fixed<Dtype::bfloat16, Weights::stochastic>();
        case Weights::plain:
        case Weights::compensated: break;
    }
    return {};
}

}  // namespace adamcore::experiments

#pragma once

#include "stored/forms.hpp"

/// E3: what the engine has chosen of, a factor after the other: eight or four neighbours at a time, tables read again or
/// held, two or three blocks on a multiprocessor. Random words are a tile's, as the engine's are.
namespace adamcore::experiments {

template <Conversion how>
Variants stored_width_variants(const std::string& raw) {
    using Two = Form<how, Philox::tile, 2>;
    using Three = Form<how, Philox::tile, 3>;
    return {
        stored_variant<Forgetting<Two>>(raw + "+tile+forget"),
        stored_variant<Forgetting<Three>>(raw + "+tile+forget+3"),
        stored_variant<Four<Two>>(raw + "+tile+w4"),
        stored_variant<Four<Three>>(raw + "+tile+w4+3"),
        stored_variant<Forgetting<Four<Two>>>(raw + "+tile+w4+forget"),
        stored_variant<Forgetting<Four<Three>>>(raw + "+tile+w4+forget+3"),
    };
}

}  // namespace adamcore::experiments

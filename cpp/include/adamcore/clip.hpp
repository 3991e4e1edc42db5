#pragma once

#include <cstdint>

namespace adamcore {

/// How gradients are clipped: all together, tensor by tensor, unit by unit (Brock et al. 2021), or element by element.
enum class Clip : std::uint8_t { none, norm, norm_per_tensor, units, value };

/// Whether this way of clipping needs norms.
constexpr bool measures(Clip clip) { return clip != Clip::none && clip != Clip::value; }

}  // namespace adamcore

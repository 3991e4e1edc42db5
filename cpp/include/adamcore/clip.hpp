#pragma once

#include <cstdint>

namespace adamcore {

/// How gradients are held to a limit: all together, each tensor, each unit of a tensor (Brock et al. 2021), or each
/// element.
enum class Clip : std::uint8_t { none, norm, norm_per_tensor, units, value };

/// Whether norms must be known for it.
constexpr bool measures(Clip clip) { return clip != Clip::none && clip != Clip::value; }

}  // namespace adamcore

#pragma once

#include <cstdint>
#include <limits>

namespace adamcore {

/// How gradients are clipped: all together, tensor by tensor, unit by unit (Brock et al. 2021), or element by element.
enum class Clip : std::uint8_t { none, norm, norm_per_tensor, units, value };

/// Whether this way of clipping needs norms.
constexpr bool measures(Clip clip) { return clip != Clip::none && clip != Clip::value; }

/// What a step with Clip::norm is told of spikes before its gradients are measured. By default there are none.
struct SpikeLimit {
    double norm = std::numeric_limits<double>::infinity();  ///< a larger norm is a spike
    bool skips = false;  ///< whether a spike is skipped; otherwise its gradients are clipped to this norm
};

}  // namespace adamcore

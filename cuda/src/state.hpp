#pragma once

#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/engine.hpp"

namespace adamcore::cuda {

/// The number of completed steps fills one cache line. The clocks follow it.
inline constexpr std::size_t completed_room = 8;

/// The part of an engine that stays on the device between steps. Its addresses must not change, because captured steps
/// use them.
struct Engine::State {
    State(int device, std::size_t group_count, std::size_t tensor_count, std::optional<Stream> stream);

    std::size_t group_count, tensor_count;
    Block block;
    Group* groups;
    Clock* clocks;  ///< room for one for each tensor
    Constants* constants;
    bias::Powers* powers;  ///< by clock, rule::max_decays each
    Control* control;
    std::int64_t* completed;  ///< the first of completed_room
    std::byte* turn;          ///< what Engine::turn() makes

private:
    std::size_t lay_out(Packer packer);
};

}  // namespace adamcore::cuda

#pragma once

#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/engine.hpp"

namespace adamcore::cuda {

/// The number of completed steps fills a cache line, which clocks follow.
inline constexpr std::size_t completed_room = 8;

/// What of an engine lives on the device from step to step. Its addresses do not change: captured steps know them.
struct Engine::State {
    State(int device, std::size_t group_count, std::size_t tensor_count, std::optional<Stream> stream);

    std::size_t group_count, tensor_count;
    Block block;
    Group* groups;
    Clock* clocks;  ///< room for one for each tensor
    Constants* constants;
    bias::Powers* powers;  ///< by clock, max_decays each
    Control* control;
    std::int64_t* completed;  ///< the first of completed_room
    std::byte* turn;          ///< what Engine::turn() makes

private:
    std::size_t lay_out(Packer packer);
};

}  // namespace adamcore::cuda

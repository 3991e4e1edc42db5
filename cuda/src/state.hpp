#pragma once

#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/engine.hpp"

namespace adamcore::cuda {

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
    Course* course;  ///< numbers and clocks follow it, so that one copy reads all of them
    Numbers* numbers;
    std::byte* turn;  ///< what Engine::turn() makes

    /// Memory for a table of schedules that is not in use, with room for this many bytes.
    std::byte* room_for_table(int device, std::size_t bytes, std::optional<Stream> stream);
    /// That table is in use now.
    void use_table() noexcept { tables_[0].swap(tables_[1]); }

private:
    /// The table in use, and the one before. Graphs know neither, but find the former by `course`.
    std::unique_ptr<Block> tables_[2];

    std::size_t lay_out(Packer packer);
};

}  // namespace adamcore::cuda

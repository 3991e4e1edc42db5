#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "adamcore/clip.hpp"
#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/tensor.hpp"

/// From a model's tensors to tables in device memory: what runs once, and again when gradients change in kind. Nothing
/// here depends on where arrays' elements are, but for parameters and state.
namespace adamcore::cuda {

/// How an array is measured: in C order, in `units` units that are `stride` bytes apart.
struct Span {
    Axes axes{};
    std::int64_t stride = 0;
};

/// A tensor as the host knows it. Axes point to host memory.
struct Entry {
    Tensor tensor;  ///< its arrays are the device's; `grad` null where there is none
    std::int32_t clock = 0;
    std::int64_t units = 1;  ///< of which adaptive clipping makes factors
    Span measured_param{}, measured_grad{};
};

/// What the whole plan depends on.
struct PlanRequest {
    const std::vector<Entry>& entries;
    const std::vector<std::size_t>& rules;  ///< by group
    Clip clip;
    bool limits;    ///< whether elements are held to a limit
    bool measures;  ///< whether gradients are measured
};

/// One launch of an update.
struct UpdatePart {
    std::size_t rule;
    Dtype type;
    bool dense;
    const Tile* tiles;
    std::int64_t blocks;
};

/// A tree of sums: blocks of Fold that turn terms into sums, a range of `first` for each array.
struct FoldPlan {
    const FoldTile* tiles = nullptr;
    std::int64_t blocks = 0;  ///< 0: every array has so few terms that they stay as they are
    norm::Squares* sums = nullptr;
    const std::int64_t* first = nullptr;
};

struct Plan {
    const Tensor* tensors = nullptr;
    std::vector<UpdatePart> updates;
    /// Every rule and compute type that clocks have, each once; one at the least, for that decides.
    std::vector<std::pair<std::size_t, Dtype>> kinds;

    const LeafTile* leaves = nullptr;
    std::int64_t leaf_blocks = 0;
    const Reading* readings = nullptr;
    norm::Squares* leaf_sums = nullptr;
    FoldPlan fold;

    std::int64_t units = 0;  ///< of all tensors, where they are measured so
    norm::Squares* unit_squares = nullptr;
    Scale* unit_factors = nullptr;
    FoldPlan unit_fold;

    std::int64_t measured_count = 0;
    const Measured* measured = nullptr;
    norm::Squares* totals = nullptr;
    /// Of totals, where there are so many that one block takes too long.
    FoldPlan total_fold;
    std::int64_t look_blocks = 0;
    std::int32_t* culprits = nullptr;
    Scale* tensor_factors = nullptr;
};

/// Axes on the device.
Axes packed(const Axes& axes, Packer& packer);

/// Lays a plan's tables out.
Plan make_plan(const PlanRequest& request, Packer& packer);

}  // namespace adamcore::cuda

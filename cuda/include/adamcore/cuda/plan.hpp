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

/// Turns a model's tensors into tables in device memory. It runs once, and again when the kinds of gradients change. It
/// uses addresses only of parameters and state.
namespace adamcore::cuda {

/// How an array is measured: in C order, as `units` units that start `stride` bytes apart.
struct Span {
    Axes axes{};
    std::int64_t stride = 0;
};

/// A tensor as the host knows it. Its axes point to host memory.
struct Entry {
    Tensor tensor;  ///< its arrays are on the device; `grad` is null if there is none
    std::int32_t clock = 0;
    std::int64_t units = 1;  ///< for which adaptive clipping computes factors
    Span measured_param{}, measured_grad{};
};

/// Everything that the plan depends on.
struct PlanRequest {
    const std::vector<Entry>& entries;
    const std::vector<std::size_t>& rules;  ///< by group
    Clip clip;
    bool limits;    ///< whether elements are clipped
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

/// A tree of sums: blocks of Fold that add up terms, with a range of `first` for each array.
struct FoldPlan {
    const FoldTile* tiles = nullptr;
    std::int64_t blocks = 0;  ///< 0 if every array has so few terms that they are not folded
    norm::Squares* sums = nullptr;
    const std::int64_t* first = nullptr;
};

struct Plan {
    const Tensor* tensors = nullptr;
    std::vector<UpdatePart> updates;
    /// Every combination of rule and compute type that clocks have, without repetition. There is at least one, which
    /// decides.
    std::vector<std::pair<std::size_t, Dtype>> kinds;

    const LeafTile* leaves = nullptr;
    std::int64_t leaf_blocks = 0;
    const Reading* readings = nullptr;
    norm::Squares* leaf_sums = nullptr;
    FoldPlan fold;

    std::int64_t units = 0;  ///< of all tensors, if they are measured by units
    norm::Squares* unit_squares = nullptr;
    Scale* unit_factors = nullptr;
    FoldPlan unit_fold;

    std::int64_t measured_count = 0;
    const Measured* measured = nullptr;
    norm::Squares* totals = nullptr;
    /// Folds the totals, if there are too many for one block.
    FoldPlan total_fold;
    std::int64_t look_blocks = 0;
    std::int32_t* culprits = nullptr;
    Scale* tensor_factors = nullptr;
};

/// Copies axes to the device.
Axes packed(const Axes& axes, Packer& packer);

/// Lays out the tables of a plan.
Plan make_plan(const PlanRequest& request, Packer& packer);

}  // namespace adamcore::cuda

#pragma once

#include <cstdint>

#include "adamcore/norm.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// What kernels find in device memory. Pointers in it are the device's; `Tensor` is the CPU engine's, but for `group`,
/// which is the tensor's clock, and for `grad` and `step`, which stand in tables of their own: they change between
/// steps.
namespace adamcore::cuda {

/// Threads of a block.
inline constexpr int threads = 256;

/// Elements of a tensor that one block updates.
inline constexpr std::int64_t tile = 4096;

/// A place in a kernel's grid.
struct Place {
    std::int64_t block;
    int thread;
};

/// Part of a tensor: the `index`-th tile.
struct Tile {
    std::int32_t tensor;
    std::uint32_t index;
};

/// The count of steps of all tensors of a group that have had the same gradients missing, for one compute type.
struct Clock {
    std::int64_t step;
    std::int32_t group;
    Dtype dtype;
    bool knows_powers = false;  ///< whether its place in the table of powers has been written
    std::uint8_t unused[2] = {};
};

/// What a clock's tensors share in one step.
struct Constants {
    StepStorage step;
    double grad_scale;
    std::int64_t count;  ///< the number of this step
};

/// Constants of so few clocks travel with a launch.
inline constexpr int few_clocks = 8;

/// What has been decided of a step before it begins.
struct Control {
    // A Scale in parts: what is copied back has been written whole, so there is no padding.
    double number;
    std::int32_t power;
    std::int32_t skip;

    /// Of gradients: unscaling, and clipping by the global norm.
    ADAMCORE_FN Scale scale() const { return {number, power}; }
};

/// What a step has to report.
struct Outcome {
    double norm;
    std::int32_t skipped;
    std::int32_t culprit;  ///< the first tensor whose gradient is not finite, or -1
};

/// A loss scaler (python/adamcore/loss_scaler.py) in device memory.
struct LossScaling {
    double scale, growth_factor, backoff_factor, min_scale, largest;
    std::int64_t growth_interval, clean_steps;
    std::int32_t failed;  ///< whether a gradient overflowed at the floor
    float multiplier;     ///< `scale`, for losses to be multiplied by
};

// What the host reads back has no padding, which no kernel would have written.
static_assert(sizeof(Clock) == sizeof(std::int64_t) + sizeof(std::int32_t) + sizeof(Dtype) + sizeof(bool) + 2);
static_assert(sizeof(Control) == sizeof(double) + 2 * sizeof(std::int32_t));
static_assert(sizeof(Outcome) == sizeof(double) + 2 * sizeof(std::int32_t));
static_assert(sizeof(LossScaling) == 5 * sizeof(double) + 2 * sizeof(std::int64_t) + 2 * sizeof(std::int32_t));

/// An array that is measured, whole or unit by unit.
struct Reading {
    std::int32_t tensor;
    Dtype dtype;
    bool of_param;        ///< else of the gradient
    std::int64_t size;    ///< of a unit
    std::int64_t stride;  ///< from unit to unit, in bytes
    Axes axes;            ///< of a unit
};

/// Leaves [8 * index, 8 * index + 8) of a unit of a reading: what one block measures.
struct LeafTile {
    std::int32_t reading;
    std::int32_t unit;
    std::int64_t index;
};

/// Partial sums [begin, begin + count) of one array.
struct FoldTile {
    std::int64_t begin;
    std::int64_t count;
};

/// What a total is the squares of.
struct Measured {
    std::int32_t tensor;
    std::int32_t narrows;  ///< whether a float64 gradient must fit float32
};

}  // namespace adamcore::cuda

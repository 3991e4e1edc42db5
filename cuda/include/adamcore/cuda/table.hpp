#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/norm.hpp"
#include "adamcore/rule_registry.hpp"
#include "adamcore/tensor.hpp"

/// The tables that kernels read in device memory. Their pointers are device pointers. `Tensor` is the CPU engine's
/// type, with these exceptions: `group` is the tensor's clock, and `grad`, `step` and whether this is the `first` are in
/// separate tables, because they change between steps.
namespace adamcore::cuda {

/// The number of threads in a block.
inline constexpr int threads = 256;

/// The number of elements of a tensor that one block updates.
inline constexpr std::int64_t tile = 4096;
/// The same for DenseUpdate: as many as the threads request at once (1.4 % faster than 4096 on an H100).
inline constexpr std::int64_t dense_tile = 2048;

/// A position in a kernel's grid.
struct Place {
    std::int64_t block;
    int thread;
};

/// A part of a tensor: tile number `index`.
struct Tile {
    std::int32_t tensor;
    std::uint32_t index;
};

/// The step count shared by all tensors of one group, rule and compute type that have missed the same gradients. A
/// tensor whose constants are its own has a clock of its own.
struct Clock {
    std::int64_t step;
    std::int32_t group;
    Dtype dtype;
    bool knows_powers = false;  ///< whether its place in the table of powers has been written
    bool has_begun = false;     ///< whether its tensors' state has begun (rule::begins)
    std::uint8_t unused[1] = {};
    std::int64_t tensor = -1;  ///< the only tensor, if its constants are its own (rule::has_own_constants)
};

/// The values that a clock's tensors share in one step.
struct Constants {
    StepStorage step;
    double grad_scale;
    std::int64_t count;   ///< the number of this step
    bool begins = false;  ///< whether state begins with it, where Decide has computed them
};

namespace internal {

/// Storage for the constants that the host computes, which are those of rules without constants of single tensors.
template <class... Rules>
struct HostedRoom;
template <class... Rules>
struct HostedRoom<rule::List<Rules...>> {
    static constexpr std::size_t size = adamcore::detail::StepRoom<rule::List<Rules...>>::most(
        {(rule::has_own_constants<Rules> ? 0 : sizeof(typename Rules::template Step<double>))...,
         (rule::has_own_constants<Rules> ? 0 : sizeof(typename Rules::template Step<float>))...});

    alignas(16) std::byte bytes[(size + 15) / 16 * 16];
};

}  // namespace internal

/// The same for constants that the host computes.
struct HostedConstants {
    internal::HostedRoom<rules::All> step;
    double grad_scale;
    std::int64_t count;
};

/// The constants of up to this many clocks are passed as arguments of a launch.
inline constexpr int few_clocks = 8;

/// What is decided about a step before it begins.
struct Control {
    // The members of a Scale. Everything that is copied back must have been written, so there is no padding.
    double number;
    std::int32_t power;
    /// Whether the step ends here: `skipped` before anything has changed, or `stopped` after a pass.
    std::int32_t skip;

    static constexpr std::int32_t skipped = 1, stopped = 2;

    /// The multiplier of gradients: unscaling, and clipping by the global norm.
    ADAMCORE_FN Scale scale() const { return {number, power}; }
};

/// A hyper-parameter that follows a schedule: an element of Group::hyper, and its row of values.
struct ScheduledField {
    std::int32_t group, field, row;
};

/// The next values of all hyper-parameters that follow schedules, for captured steps. A step after the last value uses
/// that one again.
struct ScheduleTable {
    const ScheduledField* fields;
    const double* values;  ///< rows of `count` numbers
    std::int64_t begin;    ///< the number of completed steps before the first value
    std::int64_t count;
    std::int64_t field_count;
};

/// How far an engine has come, and what its captured steps read of schedules. It fills one cache line, so that a step
/// without schedules reads nothing more.
struct Course {
    std::int64_t completed;  ///< steps that were not skipped
    std::int64_t overruns;   ///< those of them that were captured and came after the last value of the table
    ScheduleTable schedules;
    std::int64_t unused;
};

/// The optimizer's numbers (Rule::numbers).
struct Numbers {
    double of[8];
};
static_assert(sizeof(Numbers) == 64 && max_numbers <= 8, "they fill a cache line, so that they have no padding");

/// The result of a step.
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
    float multiplier;     ///< `scale` as a float, by which losses are multiplied
};

// What the host reads back has no padding, because kernels would not write it.
static_assert(sizeof(Clock) == 2 * sizeof(std::int64_t) + sizeof(std::int32_t) + sizeof(Dtype) + 2 * sizeof(bool) + 1);
static_assert(sizeof(Control) == sizeof(double) + 2 * sizeof(std::int32_t));
static_assert(sizeof(Course) == 64);
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

/// Leaves [8 * index, 8 * index + 8) of a unit of a reading, which one block measures.
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

/// The tensor whose squares a total sums.
struct Measured {
    std::int32_t tensor;
    std::int32_t narrows;  ///< whether a float64 gradient must fit float32
};

}  // namespace adamcore::cuda

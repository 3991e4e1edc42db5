#pragma once

#include <cstdint>

#include "adamcore/rule_info.hpp"
#include "adamcore/rules/adamw.hpp"
#include "adamcore/tensor.hpp"

/// What the experiments' kernels find in device memory. The engine's own tables may change; these stay what they were
/// when the questions were asked, so that "base" keeps its meaning.
namespace adamcore::experiments {

/// A place in a kernel's grid.
struct Place {
    std::int64_t block;
    int thread;
};

/// The `index`-th tile of a tensor.
struct Tile {
    std::int32_t tensor;
    std::uint32_t index;
};

/// The same with all that a block needs of its tensor: one step from here to the data, but for the gradient. Pointers
/// are to the tile's first element.
struct alignas(64) Row {
    float* param;
    float* first;  ///< moment
    float* second;
    std::int64_t begin;  ///< of the tile in its tensor
    std::int32_t tensor;
    std::int32_t count;  ///< elements from `begin` on
    std::int32_t clock;
    std::int32_t head;  ///< elements before `begin` that are this tile's too
};

static_assert(sizeof(Row) == 64);

struct Clock {
    std::int64_t step;
    std::int32_t group;
    Dtype dtype;
};

/// What a clock's tensors share in one step.
struct Constants {
    StepStorage step;
    double grad_scale;
    std::int64_t count;
};

/// What has been decided of a step before it begins.
struct Control {
    double scale;
    std::int32_t skip;
    std::int32_t unused;
};

/// Leaves [index, index + leaves of a block) of a tensor's gradient.
struct LeafTile {
    std::int32_t tensor;
    std::int32_t unused;
    std::int64_t index;
};

struct UpdateArguments {
    const Tile* tiles;
    const Row* rows;
    std::int64_t blocks;
    const Tensor* tensors;
    const void* const* grads;
    const Constants* constants;  ///< by clock
    const Control* control;
    const double* tensor_factors;  ///< or null
    double limit;
    bool by_units;
    std::uint64_t seed;
    AdamW::Step<float> step;  ///< where no Decide has run
    float scale;              ///< likewise
};

}  // namespace adamcore::experiments

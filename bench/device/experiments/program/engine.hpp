#pragma once

#include <cstdint>
#include <vector>

#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/update.hpp"
#include "adamcore/rules/adamw.hpp"
#include "program/packer.hpp"

/// What the library's own kernels find in a set.
namespace adamcore::experiments {

struct EngineTables {
    const cuda::Tile* tiles;
    std::int64_t blocks;
    const Tensor* tensors;
    const void* const* grads;
    Group* groups;
    const std::int32_t* ticks;
    cuda::Clock* clocks;
    cuda::Constants* constants;
    cuda::Control* control;
    cuda::Course* course;
    bias::Powers* powers;

    /// `shared` has what the experiments' kernels find too. Constants are those of step `t`, the next to be decided.
    static EngineTables pack(Packer& packer, const EngineTables& shared, const std::vector<Tensor>& tensors,
                             const Group& group, std::int64_t t);

    /// With constants from tables.
    cuda::UpdateArguments update(std::uint64_t seed) const;
    /// With those of step `t`.
    cuda::UpdateArguments update(std::uint64_t seed, const AdamW::Hyper& hyper, std::int64_t t) const;
    cuda::DecideArguments decide() const;
};

/// What Decide knows of the powers of a decay when step `t` comes next.
bias::Powers powers_before(double beta, std::int64_t t);

}  // namespace adamcore::experiments

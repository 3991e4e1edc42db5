#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/passes/pass_sweep.hpp"
#include "adamcore/cpu/passes/visits.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// What an engine runs with rules that it does not know.
namespace adamcore::cpu::detail {

/// Rules with their kernels for one ISA. Arrays are indexed by rule and compute type.
struct Catalog {
    const RuleInfo* infos;
    const DenseSweep (*sweeps)[compute_type_count];
    const PassSweeps (*passes)[compute_type_count];
    const TileSweep* tiles;
    const TileVisits* visits;
    std::size_t step_bytes;  ///< of the largest Step, a multiple of 16
};

constexpr std::size_t type_index(const Tensor& tensor) { return static_cast<std::size_t>(compute_dtype(tensor.dtype)); }

/// Tensors and their groups. If `is_one_group`, all are in the first.
struct Job {
    const Catalog& catalog;
    const Group* groups;
    bool is_one_group;
    const Tensor* tensors;
    std::int64_t count;

    const Group& group(std::int64_t i) const { return groups[is_one_group ? 0 : tensors[i].group]; }
    std::size_t rule(std::int64_t i) const { return rule_of(catalog.infos, group(i).rule, tensors[i]); }
    const RuleInfo& info(std::int64_t i) const { return catalog.infos[rule(i)]; }
    /// Null if the tensor is not updated, or if its rule has no such pass.
    const PassInfo* pass(std::int64_t i, std::size_t k) const {
        if (active_size(tensors[i]) == 0) return nullptr;
        const RuleInfo& found = info(i);
        return k < found.pass_count ? &found.passes[k] : nullptr;
    }
    const PassSweep& sweep(std::int64_t i, std::size_t k) const {
        return catalog.passes[rule(i)][type_index(tensors[i])][k];
    }
};

}  // namespace adamcore::cpu::detail

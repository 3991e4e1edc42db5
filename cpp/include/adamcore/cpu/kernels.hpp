#pragma once

#include <cstddef>

#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/passes/pass_sweep.hpp"
#include "adamcore/cpu/passes/visits.hpp"
#include "adamcore/cpu/reduce.hpp"
#include "adamcore/cpu/statistics/fused_sweep.hpp"
#include "adamcore/cpu/statistics/kernels.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/dtype.hpp"
#include "adamcore/passes/leaves.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/rule_registry.hpp"
#include "adamcore/rules/all.hpp"
#include "adamcore/weights/passes.hpp"

/// The interface of `adamcore::kernels`: every rule, compiled for every ISA, and chosen at run time.
namespace adamcore::cpu {

using adamcore::all_rules;

/// The kernels of one ISA. Sweeps are indexed by the rule's position in rules::All and the compute type.
struct Kernels {
    Isa isa;
    DenseSweep sweep[rules::All::size][compute_type_count];
    PassSweeps passes[rules::All::size][compute_type_count];
    DenseSweep weight_passes[weight_pass::All::size][compute_type_count];
    DenseSweep leaves[leaf::All::size][compute_type_count];
    TileSweep tiles[compute_type_count];
    TileVisits visits[compute_type_count];
    MeasureLeaves measure;
    Rescale rescale;
    ObservationKernels observation;
    FusedSweeps fused[rules::All::size];
};

namespace detail {

template <class Tag, class... Rules, class... Passes, class... Leaves>
constexpr Kernels make_kernels(Isa isa, rule::List<Rules...>, rule::List<Passes...>, rule::List<Leaves...>) {
    return {isa,
            {{dense_sweep<Tag, Rules, float>, dense_sweep<Tag, Rules, double>}...},
            {{pass_sweeps<Tag, Rules, float>, pass_sweeps<Tag, Rules, double>}...},
            {{dense_sweep<Tag, Passes, float>, dense_sweep<Tag, Passes, double>}...},
            {{dense_sweep<Tag, Leaves, float>, dense_sweep<Tag, Leaves, double>}...},
            {tile_sweep<Tag, float>, tile_sweep<Tag, double>},
            {tile_visits<Tag, float>, tile_visits<Tag, double>},
            Reduction<Tag>::measure,
            Reduction<Tag>::rescale,
            observation_kernels<Tag>,
            {fused_sweeps<Tag, Rules>...}};
}

}  // namespace detail

/// The kernels compiled for `isa`, or null if this build has none or the processor lacks it.
const Kernels* kernels_for(Isa isa) noexcept;

/// The best kernels that this processor runs.
const Kernels& best_kernels() noexcept;

}  // namespace adamcore::cpu

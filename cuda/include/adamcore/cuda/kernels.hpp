#pragma once

#include <array>
#include <cstdint>

#include "adamcore/cuda/averages/advance.hpp"
#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/passes/conclude.hpp"
#include "adamcore/cuda/passes/matrices.hpp"
#include "adamcore/cuda/passes/visit.hpp"
#include "adamcore/cuda/reduce.hpp"
#include "adamcore/cuda/runtime.hpp"
#include "adamcore/cuda/start.hpp"
#include "adamcore/cuda/statistics/observe.hpp"
#include "adamcore/cuda/stored.hpp"
#include "adamcore/cuda/update.hpp"
#include "adamcore/passes/leaves.hpp"
#include "adamcore/rules/all.hpp"
#include "adamcore/weights/passes.hpp"

/// The compiled part: a kernel for every rule and compute type, and the kernels that measure and decide.
namespace adamcore::cuda {

/// A kernel.
template <class Arguments>
struct Launch {
    void (*queue)(std::int64_t blocks, const Arguments& arguments, Stream stream);
    /// Loads the kernel to the device. Otherwise its first launch does, which may be captured.
    void (*load)();

    /// Launches `blocks` blocks on a stream.
    void operator()(std::int64_t blocks, const Arguments& arguments, Stream stream) const {
        queue(blocks, arguments, stream);
    }
};

/// Indexed by the rule's position in rules::All.
using UpdateLaunches = std::array<Launch<UpdateArguments>, rules::All::size>;
using WeightLaunches = std::array<Launch<UpdateArguments>, weight_pass::All::size>;
using LeafLaunches = std::array<Launch<UpdateArguments>, leaf::All::size>;
using DecideLaunches = std::array<Launch<DecideArguments>, rules::All::size>;

/// The kernels of a pass for a compute type, null where the pass needs none.
struct PassLaunches {
    Launch<VisitArguments> visit{};               ///< of tensors
    Launch<MatrixArguments> parts{}, matrices{};  ///< of matrices
};
using VisitLaunches = std::array<std::array<PassLaunches, rule::max_passes>, rules::All::size>;

/// What follows a visit.
struct ConclusionLaunches {
    Launch<ConcludeArguments> agree{}, conclude{};
    Launch<LineArguments> rows{}, spread{};
};
using ConcludeLaunches = std::array<std::array<ConclusionLaunches, rule::max_passes>, rules::All::size>;

extern const UpdateLaunches dense_float, dense_double, stored_float, stored_double;
extern const WeightLaunches weights_float, weights_double;
extern const Launch<AdvanceArguments> advance;
extern const LeafLaunches leaves_float, leaves_double;
extern const Launch<MeasureArguments> measure;
extern const VisitLaunches visit_dense_float, visit_dense_double, visit_stored_float, visit_stored_double;
extern const ConcludeLaunches conclude_float, conclude_double;
extern const Launch<FoldArguments> fold;
extern const Launch<FoldTerms<double>> fold_sums;
extern const Launch<TotalArguments> row_totals, column_sums;
extern const Launch<UnitArguments> units;
extern const Launch<LookArguments> look;
extern const DecideLaunches decide_float, decide_double;
extern const Launch<RescaleArguments> rescale;
extern const Launch<StartArguments> start;
extern const Launch<ObserveArguments> observe_early, observe_late;

/// The kernel that decides about a step, and prepares updates of a compute type by a rule.
inline const Launch<DecideArguments>& decide_launch(Dtype compute_type, std::size_t rule) {
    return (compute_type == Dtype::float64 ? decide_double : decide_float)[rule];
}

/// For `update`: the kernel that updates arrays of a compute type.
inline const UpdateLaunches& update_launches(Dtype compute_type, bool dense) {
    const bool wide = compute_type == Dtype::float64;
    return dense ? (wide ? dense_double : dense_float) : (wide ? stored_double : stored_float);
}

/// The kernels of a rule's pass.
inline const PassLaunches& visit_launches(Dtype compute_type, bool dense, std::size_t rule, std::size_t pass) {
    const bool wide = compute_type == Dtype::float64;
    const VisitLaunches& all =
        dense ? (wide ? visit_dense_double : visit_dense_float) : (wide ? visit_stored_double : visit_stored_float);
    return all[rule][pass];
}
inline const ConclusionLaunches& conclude_launches(Dtype compute_type, std::size_t rule, std::size_t pass) {
    return (compute_type == Dtype::float64 ? conclude_double : conclude_float)[rule][pass];
}

}  // namespace adamcore::cuda

#pragma once

#include <array>
#include <cstdint>

#include "adamcore/cuda/decide.hpp"
#include "adamcore/cuda/reduce.hpp"
#include "adamcore/cuda/runtime.hpp"
#include "adamcore/cuda/start.hpp"
#include "adamcore/cuda/update.hpp"
#include "adamcore/rules/all.hpp"

/// What the compiled part has: a kernel for every rule and compute type, and those that measure and decide.
namespace adamcore::cuda {

/// Queues `blocks` blocks on a stream.
template <class Arguments>
using Launch = void (*)(std::int64_t blocks, const Arguments& arguments, Stream stream);

/// By a rule's place in rules::All.
using UpdateLaunches = std::array<Launch<UpdateArguments>, rules::All::size>;

extern const UpdateLaunches dense_float, dense_double, stored_float, stored_double;
extern const Launch<MeasureArguments> measure;
extern const Launch<FoldArguments> fold;
extern const Launch<UnitArguments> units;
extern const Launch<LookArguments> look;
extern const Launch<DecideArguments> decide;
extern const Launch<RescaleArguments> rescale;
extern const Launch<StartArguments> start;

/// For `update`: which of them updates arrays of a compute type.
inline const UpdateLaunches& update_launches(Dtype compute_type, bool dense) {
    const bool wide = compute_type == Dtype::float64;
    return dense ? (wide ? dense_double : dense_float) : (wide ? stored_double : stored_float);
}

}  // namespace adamcore::cuda

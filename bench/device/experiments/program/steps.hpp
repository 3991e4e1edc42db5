#pragma once

#include <cstdint>

#include "common/variant.hpp"
#include "program/problem.hpp"

/// A step of a variant: its launches one after the other, on the device or at once on the host.
namespace adamcore::experiments {

/// `t` is the number of the step, for variants whose constants the host computes.
void queue_step(const Variant& variant, const Problem& problem, std::int64_t set, std::int64_t t);

/// Whether all of its kernels run on the host too.
bool runs_on_host(const Variant& variant);

}  // namespace adamcore::experiments

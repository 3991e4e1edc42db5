#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/weights/passes.hpp"

/// Runs the passes of weights/passes.hpp on the pool. Part of adamcore::kernels. Nothing here allocates.
namespace adamcore::cpu {

/// Runs a pass, one of weight_pass::All, over tensors from weight_pass::weights_of(). `shares` are by group.
template <class Pool>
void run_weight_pass(const Kernels& kernels, std::size_t pass, const double* shares, const Tensor* tensors,
                     std::int64_t count, const Pool& pool, std::uint64_t seed) noexcept {
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    detail::run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            const Tensor& tensor = tensors[i];
            detail::pass_over_weights(kernels.weight_passes[pass], shares[tensor.group], kernels.tiles, tensor, begin,
                                      end, seed);
        };
    });
}

}  // namespace adamcore::cpu

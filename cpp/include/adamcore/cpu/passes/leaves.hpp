#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/passes/leaves.hpp"

/// Adds gradients to sums on the pool. Part of adamcore::kernels. Nothing here allocates.
namespace adamcore::cpu {

/// Runs a pass of leaves.hpp over tensors whose parameter is the sum, and whose gradient may be of any type and layout.
template <class Pool>
void add_leaf(const Kernels& kernels, leaf::Pass pass, leaf::Weights weights, const Tensor* tensors, std::int64_t count,
              const Pool& pool) noexcept {
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    detail::run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            const Tensor& tensor = tensors[i];
            if (i + detail::tensors_ahead < count) detail::prefetch_beginning(tensors[i + detail::tensors_ahead]);
            visit_compute(tensor.dtype, [&](auto x) {
                using T = decltype(x);
                constexpr auto type = static_cast<std::size_t>(dtype_of<T>);
                const leaf::Step<T> step = leaf::prepare<T>(weights);
                detail::update<T>(kernels.leaves[static_cast<std::size_t>(pass)][type], kernels.tiles[type], &step,
                                  tensor, begin, end, 1.0, Scale(1), Treatment{});
            });
        };
    });
}

}  // namespace adamcore::cpu

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/passes/leaves.hpp"
#include "adamcore/weights/passes.hpp"

/// Runs passes over elements that are no steps on the pool. Part of adamcore::kernels. Nothing here allocates.
namespace adamcore::cpu {

namespace detail {

/// Calls `pass(tensor, begin, end)` for pieces of all tensors that have a gradient.
template <class Pool, class Pass>
void run_pass(const Tensor* tensors, std::int64_t count, const Pool& pool, Pass&& pass) noexcept {
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            if (i + tensors_ahead < count) prefetch_beginning(tensors[i + tensors_ahead]);
            pass(tensors[i], begin, end);
        };
    });
}

}  // namespace detail

/// Runs a pass, one of weight_pass::All, over tensors from weight_pass::weights_of(). `shares` are by group.
template <class Pool>
void run_weight_pass(const Kernels& kernels, std::size_t pass, const double* shares, const Tensor* tensors,
                     std::int64_t count, const Pool& pool, std::uint64_t seed) noexcept {
    detail::run_pass(tensors, count, pool, [&](const Tensor& tensor, std::int64_t begin, std::int64_t end) {
        detail::pass_over_weights(kernels.weight_passes[pass], shares[tensor.group], kernels.tiles, tensor, begin, end,
                                  seed);
    });
}

/// Adds gradients, of any type and layout, to sums: runs a pass of passes/leaves.hpp over tensors whose parameter is the
/// sum.
template <class Pool>
void add_leaf(const Kernels& kernels, leaf::Pass pass, leaf::Weights weights, const Tensor* tensors, std::int64_t count,
              const Pool& pool) noexcept {
    detail::run_pass(tensors, count, pool, [&](const Tensor& tensor, std::int64_t begin, std::int64_t end) {
        detail::pass_over(kernels.leaves[static_cast<std::size_t>(pass)], kernels.tiles, tensor, begin, end, 0,
                          [&](auto x) { return leaf::prepare<decltype(x)>(weights); });
    });
}

}  // namespace adamcore::cpu

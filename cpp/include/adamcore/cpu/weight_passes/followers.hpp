#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/pieces.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/cpu/update.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/weights/passes.hpp"

/// Passes over weights that follow the updates of a step, piece by piece, while the weights are in cache.
namespace adamcore::cpu {

/// One of weight_pass::All, with one array for each tensor.
struct Follower {
    const DenseSweep* sweeps;  ///< by compute type
    double share;
    void* const* arrays;
};

struct Followers {
    const Follower* all = nullptr;
    std::size_t count = 0;
};

namespace detail {

/// The number of elements that are updated before passes follow. A chunk of six arrays fits the second-level cache.
inline constexpr std::int64_t follower_chunk = 8192;

/// Runs a pass over elements [begin, end) of a tensor from weight_pass::weights_of().
inline void pass_over_weights(const DenseSweep* sweeps, double share, const TileSweep* tiles, const Tensor& tensor,
                              std::int64_t begin, std::int64_t end, std::uint64_t seed) noexcept {
    pass_over(sweeps, tiles, tensor, begin, end, seed,
              [&](auto x) { return weight_pass::Step<decltype(x)>{static_cast<decltype(x)>(share)}; });
}

/// Lets all passes follow elements [begin, end) of tensor `i`.
inline void follow(const Followers& followers, const TileSweep* tiles, const Tensor& tensor, std::int64_t i,
                   std::int64_t begin, std::int64_t end, std::uint64_t seed) noexcept {
    for (std::size_t k = 0; k < followers.count; ++k) {
        const Follower& each = followers.all[k];
        pass_over_weights(each.sweeps, each.share, tiles, weight_pass::weights_of(tensor, each.arrays[i]), begin, end,
                          seed);
    }
}

/// Calls `update(begin, end)` for chunks of elements [begin, end) of tensor `i`, each followed by the passes.
template <class Update>
void update_and_follow(const Followers& followers, const TileSweep* tiles, const Tensor& tensor, std::int64_t i,
                       std::int64_t begin, std::int64_t end, std::uint64_t seed, Update&& update) noexcept {
    if (followers.count == 0) return update(begin, end);
    for (std::int64_t at = begin, next; at < end; at = next) {
        next = math::min(end, at + follower_chunk);
        update(at, next);
        follow(followers, tiles, tensor, i, at, next, seed);
    }
}

/// Lets the passes follow tensors that have not been updated: those without gradients, or all of them.
template <class Pool>
void follow_others(const Followers& followers, const TileSweep* tiles, const Tensor* tensors, std::int64_t count,
                   bool all, const Pool& pool, std::uint64_t seed) noexcept {
    if (followers.count == 0) return;
    const auto size = [&](std::int64_t i) { return all || !tensors[i].grad ? tensors[i].size : 0; };
    std::int64_t work = 0;
    for (std::int64_t i = 0; i < count; ++i) work += size(i) * norm_work;
    if (work == 0) return;
    plan::Cut cuts[max_parts + 1];
    const int parts = parts_for(work, pool.size());
    plan::split(size, count, parts, cuts);
    run(size, cuts, parts, pool, false, [&] {
        return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            follow(followers, tiles, tensors[i], i, begin, end, seed);
        };
    });
}

}  // namespace detail

}  // namespace adamcore::cpu

#pragma once

#include <cstdint>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/plan.hpp"

namespace adamcore::cpu::detail {

/// Processes each part with its own worker, which `make_worker()` creates. If `reversed`, it starts with the last part,
/// because what was read last is in cache.
template <class Size, class Pool, class MakeWorker>
void run(Size size, const plan::Cut* cuts, int parts, const Pool& pool, bool reversed,
         MakeWorker make_worker) noexcept {
    pool.run(parts, [&](int i) noexcept {
        const int part = reversed ? parts - 1 - i : i;
        const FloatEnvironment environment;
        auto worker = make_worker();
        plan::for_each_piece(size, cuts[part], cuts[part + 1],
                             [&](std::int64_t at, std::int64_t begin, std::int64_t end) { worker(at, begin, end); });
    });
}

}  // namespace adamcore::cpu::detail

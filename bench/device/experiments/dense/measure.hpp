#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/norm.hpp"
#include "common/kernel.hpp"

/// E4, and the pass before E2's update in reverse: sums of squares of gradients in norm.hpp's shape.
namespace adamcore::experiments {

struct MeasureArguments {
    const LeafTile* tiles;
    const Tensor* tensors;
    const void* const* grads;
    norm::Squares* sums;  ///< one for each block
};

/// Neighbouring leaves of a float32 gradient, each by a warp: a lane of the leaf is a lane of the warp.
template <int Leaves>
struct Measure {
    using Arguments = MeasureArguments;

    static constexpr int threads = Leaves * sums::lanes, resident = 1;

    struct Shared {
        double lane[Leaves][sums::lanes];
        norm::Squares leaf[Leaves];
    };

    ADAMCORE_FN static int phases(const Arguments&, Place) { return passes + 1; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const LeafTile here = a.tiles[at.block];
        const std::int64_t size = a.tensors[here.tensor].size;
        const int warp = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        const std::int64_t begin = (here.index + warp) * sums::leaf;
        const std::int64_t count = math::min(sums::leaf, size - begin);
        if (phase == passes) {
            if (at.thread == 0)
                a.sums[at.block] =
                    sums::sum_pairs(shared.leaf, math::min<std::int64_t>(Leaves, sums::leaves_of(size - begin)));
        } else if (count > 0) {
            const auto* grad = cuda::global(static_cast<const float*>(a.grads[here.tensor]));
            pass(grad + begin, count, phase, warp, lane, shared);
        }
    }

private:
    /// A lane each, five halvings, and the result.
    static constexpr int passes = 7;

    ADAMCORE_FN static void pass(const float* grad, std::int64_t count, int phase, int warp, int lane, Shared& shared) {
        double(&sums)[sums::lanes] = shared.lane[warp];
        if (phase == 0) {
            sums[lane] = sum_lane(grad, lane, count);
        } else if (phase < passes - 1) {
            const int half = sums::lanes >> phase;
            if (lane < half) sums[lane] += sums[lane + half];
        } else if (lane == 0) {
            shared.leaf[warp] = {sums[0], 0};
        }
    }

    ADAMCORE_FN static double sum_lane(const float* from, std::int64_t at, std::int64_t end) {
        constexpr int batch = 16;
        double sum = 0;
        for (; at + (batch - 1) * sums::lanes < end; at += batch * sums::lanes) {
            float some[batch];
            ADAMCORE_UNROLL
            for (int k = 0; k < batch; ++k) some[k] = from[at + k * sums::lanes];
            ADAMCORE_UNROLL
            for (int k = 0; k < batch; ++k) sum += norm::wide_square(some[k], 1.0);
        }
        for (; at < end; at += sums::lanes) sum += norm::wide_square(from[at], 1.0);
        return sum;
    }
};

}  // namespace adamcore::experiments

#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/fold.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/storage/state_rounding.hpp"

/// Sums of squares in the fixed order of norm.hpp. Threads exchange values through shared memory between phases. All
/// threads of a block are synchronised at the end of a phase, so tests can run a phase for one thread after the other.
namespace adamcore::cuda {

struct MeasureArguments {
    const LeafTile* tiles;
    const Reading* readings;
    const Tensor* tensors;
    const void* const* grads;
    norm::Squares* sums;  ///< one for each block
};

/// Measures up to eight neighbouring leaves, each with a warp. A lane of the leaf is a lane of the warp.
struct Measure {
    using Arguments = MeasureArguments;

    static constexpr int resident = 1;

    static constexpr int leaves = threads / sums::lanes;

    struct Shared {
        double lane[leaves][sums::lanes];
        double scale[leaves];
        norm::Squares leaf[leaves];
        bool outgrows[leaves][sums::lanes];  ///< for float64: whether a lane has an element that is infinite as a float
    };

    /// Float64 may have to be summed twice.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        return a.readings[a.tiles[at.block].reading].dtype == Dtype::float64 ? 2 * passes + 1 : passes + 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const LeafTile here = a.tiles[at.block];
        const Reading& reading = a.readings[here.reading];
        const int warp = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        const std::int64_t begin = (here.index * leaves + warp) * sums::leaf;
        const std::int64_t count = math::min(sums::leaf, reading.size - begin);
        const bool again = phase >= passes;
        if (phase == phases(a, at) - 1) {
            if (at.thread == 0) a.sums[at.block] = sum_of_leaves(shared, reading.size - begin);
        } else if (count > 0 && !(again && shared.scale[warp] == 1)) {
            pass(a, here, begin, count, again ? phase - passes : phase, again, warp, lane, shared);
        }
    }

private:
    /// The phases: the lanes, five halvings, and the result.
    static constexpr int passes = halvings + 2;

    ADAMCORE_FN static void pass(const Arguments& a, const LeafTile& here, std::int64_t begin, std::int64_t count,
                                 int phase, bool again, int warp, int lane, Shared& shared) {
        const Reading& reading = a.readings[here.reading];
        double(&sums)[sums::lanes] = shared.lane[warp];
        if (phase == 0) {
            const void* array = reading.of_param ? a.tensors[reading.tensor].param : a.grads[reading.tensor];
            const void* unit = static_cast<const char*>(array) + here.unit * reading.stride;
            const double scale = again ? shared.scale[warp] : 1.0;
            visit(reading.dtype, [&](auto x) {
                using Stored = decltype(x);
                sums[lane] = sum_lane<Stored>(unit, reading.axes, begin + lane, begin + count, scale);
                if constexpr (sizeof(Stored) == 8) {
                    if (again) return;
                    shared.outgrows[warp][lane] = norm::may_outgrow_float<Stored>(sums[lane]) &&
                                                  outgrows_float(unit, reading.axes, begin + lane, begin + count);
                }
            });
        } else if (phase < passes - 1) {
            halve(sums, phase - 1, lane);
        } else if (lane == 0 && again) {
            const std::int32_t outgrows = shared.leaf[warp].outgrows;
            shared.leaf[warp] = norm::scaled_squares(sums[0], shared.scale[warp]);
            shared.leaf[warp].outgrows = outgrows;
        } else if (lane == 0) {
            shared.leaf[warp] = {sums[0], 0, 0};
            if (reading.dtype == Dtype::float64 && norm::may_outgrow_float<double>(sums[0]))
                shared.leaf[warp].outgrows = any_outgrows(shared.outgrows[warp]);
            shared.scale[warp] = reading.dtype == Dtype::float64 ? norm::second_scale<double>(sums[0]) : 1;
        }
    }

    /// Sums the squares of every 32nd element of [begin, end). Several elements are requested before the first is
    /// added.
    template <class Stored>
    ADAMCORE_FN static double sum_lane(const void* data, const Axes& axes, std::int64_t begin, std::int64_t end,
                                       double scale) {
        constexpr int batch = 16;
        double sum = 0;
        std::int64_t at = begin;
        if (axes.count == 0) {
            const Stored* from = global(static_cast<const Stored*>(data));
            for (; at + (batch - 1) * sums::lanes < end; at += batch * sums::lanes) {
                Stored some[batch];
                ADAMCORE_UNROLL
                for (int k = 0; k < batch; ++k) some[k] = from[at + k * sums::lanes];
                ADAMCORE_UNROLL
                for (int k = 0; k < batch; ++k) sum += norm::wide_square(some[k], scale);
            }
        }
        for (; at < end; at += sums::lanes) {
            const Stored one = *element_of<Stored>(data, axes, at);
            sum += norm::wide_square(one, scale);
        }
        return sum;
    }

    /// Whether one of every 32nd element of [begin, end) is infinite as a float. It is rarely called.
    ADAMCORE_AWAY static bool outgrows_float(const void* data, const Axes& axes, std::int64_t begin, std::int64_t end) {
        bool found = false;
        ADAMCORE_ROLLED
        for (std::int64_t at = begin; at < end; at += sums::lanes)
            found |= norm::is_infinite_in_float(*element_of<double>(data, axes, at));
        return found;
    }

    ADAMCORE_FN static std::int32_t any_outgrows(const bool (&lanes)[sums::lanes]) {
        bool found = false;
        ADAMCORE_ROLLED
        for (int lane = 0; lane < sums::lanes; ++lane) found |= lanes[lane];
        return found ? 1 : 0;
    }

    /// The number of elements from the block's first leaf on.
    ADAMCORE_FN static norm::Squares sum_of_leaves(Shared& shared, std::int64_t size) {
        return sums::sum_pairs(shared.leaf, math::min<std::int64_t>(leaves, sums::leaves_of(size)));
    }
};

using FoldArguments = FoldTerms<norm::Squares>;
using Fold = FoldOf<norm::Squares>;

struct UnitArguments {
    norm::Squares* terms;
    const std::int64_t* first;  ///< of 2 * units arrays: units of parameters, then units of gradients
    std::int64_t units;
    norm::Squares* grad_squares;  ///< by unit
    Scale* factors;               ///< by unit
    double limit;
    const LossScaling* scaling;  ///< or null, and then loss_scale
    double loss_scale;
    Scale divisor;
};

ADAMCORE_AWAY inline Scale unscaling(const LossScaling* scaling, double loss_scale, Scale divisor) {
    return Scale(1) / (Scale(scaling ? scaling->scale : loss_scale) * divisor);
}

/// Computes the factors of adaptive clipping, with one thread for each unit.
struct Units {
    using Arguments = UnitArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const std::int64_t unit = at.block * threads + at.thread;
        if (unit >= a.units) return;
        const norm::Squares weights = total_of(a.terms, a.first, unit);
        const norm::Squares grads = total_of(a.terms, a.first, a.units + unit);
        a.grad_squares[unit] = grads;
        a.factors[unit] = norm::adaptive_factor(weights, grads, unscaling(a.scaling, a.loss_scale, a.divisor), a.limit);
    }
};

struct RescaleArguments {
    const Tile* tiles;
    const Reading* readings;
    void* const* arrays;
    Scale factor;
    double limit;
    bool are_squares = false;  ///< of state, which rounding must not make 0
};

/// Multiplies arrays in place by a factor and clips them to [-limit, limit].
struct Rescale {
    using Arguments = RescaleArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const Tile here = a.tiles[at.block];
        const Reading& reading = a.readings[here.tensor];
        visit(reading.dtype, [&](auto x) {
            using T = decltype(storage::decode(x));
            constexpr int width = widest / sizeof(T);
            const std::int64_t first = here.index * tile, last = math::min(first + tile, reading.size);
            for (std::int64_t i = first + at.thread * width; i < last; i += threads * width) {
                const int count = static_cast<int>(math::min<std::int64_t>(width, last - i));
                T values[width];
                const Multiplier<T> by = scale::multiplier<T>(a.factor);
                read(a.arrays[here.tensor], reading.dtype, reading.axes, i, count, values);
                ADAMCORE_UNROLL
                for (int k = 0; k < width; ++k)
                    values[k] = gradient::held(by(values[k]), gradient::limit_in<T>(a.limit));
                if constexpr (sizeof x == 2) {
                    for (int k = 0; a.are_squares && k < count; ++k) values[k] = state::nonzero<decltype(x)>(values[k]);
                }
                write(values, a.arrays[here.tensor], reading.dtype, reading.axes, i, count);
            }
        });
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/fold.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/rule/pass.hpp"
#include "adamcore/statistics/columns.hpp"

/// Sums of statistics over leaves, in the fixed order of sums.hpp: one kernel before a step, and one after it. What follows
/// from them is computed on the host when it is read.
namespace adamcore::cuda {

/// An array, and how its elements are walked in C order.
struct ObservedArray {
    const void* data = nullptr;
    Dtype dtype = Dtype::float32;
    Axes axes{};
};

struct ObservedTensor {
    std::int32_t place;  ///< among the tensors of the step
    bool loses;          ///< whether changes may not show in the stored parameter
    std::int64_t size;
    Axes grad;
    ObservedArray param, first, second;
    ObservedArray before, after;  ///< weights in the compute type
    float* stored;                ///< the parameter before the step, in C order
};

/// Leaves [8 * index, 8 * index + 8) of a tensor, which one block observes. The sums of the first one have place `first`.
struct ObservedLeaves {
    std::int32_t tensor;
    std::int64_t index, first;
};

/// The sums of a leaf before a step. (Doubles are squared in all scales that norm::leaf_squares() may need.)
struct EarlySums {
    double squares, small_squares, large_squares, products, firsts, largest;
    std::int64_t zeros;
};
/// And after it.
struct LateSums {
    double weights, updates, seconds;
    std::int64_t lost, below;
};

/// What Decide knows of a clock's step.
struct ClockFacts {
    rule::SecondMoment second;
    std::int64_t begins;  ///< whether state begins
};

/// What is known of the step: how gradients are unscaled, and Control::skip.
struct ObservedControl {
    double number;
    std::int32_t power, skip;
};

struct ObserveArguments {
    const ObservedLeaves* blocks;
    const ObservedTensor* observed;
    const Tensor* tensors;
    const void* const* grads;
    const ClockFacts* facts;
    const Control* control;
    const LossScaling* scaling;  ///< or null, and then loss_scale
    double loss_scale;
    Scale divisor;
    unsigned parts;
    ObservedControl* seen;
    EarlySums* early;
    LateSums* late;
};

namespace internal {

/// Element `i` of an array in double.
ADAMCORE_FN double wide_at(const ObservedArray& array, std::int64_t i) {
    double wide = 0;
    visit(array.dtype, [&](auto x) {
        using Stored = decltype(x);
        const Stored one = array.axes.count == 0 ? global(static_cast<const Stored*>(array.data))[i]
                                                 : *element_of<Stored>(array.data, array.axes, i);
        wide = static_cast<double>(storage::decode(one));
    });
    return wide;
}

}  // namespace internal

/// The threads that observe up to eight neighbouring leaves, each leaf with a warp. `Observe` says what a thread adds up of
/// its lane, and what becomes of the sums: it has `sum_count` of them, and `counts`.
template <class Observe>
struct ObserveLeaves {
    using Arguments = ObserveArguments;

    static constexpr int resident = 1;
    static constexpr int leaves = threads / sums::lanes;

    struct Shared {
        double sum[leaves][Observe::sum_count][sums::lanes];
        double largest[leaves][sums::lanes];
        std::int64_t count[leaves][Observe::counts][sums::lanes];
    };

    ADAMCORE_FN static int phases(const Arguments&, Place) { return halvings + 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const ObservedLeaves here = a.blocks[at.block];
        const ObservedTensor& tensor = a.observed[here.tensor];
        const int warp = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        const std::int64_t begin = (here.index * leaves + warp) * sums::leaf;
        if (phase == 0 && at.block == 0 && at.thread == 0) Observe::note(a);
        if (begin >= tensor.size) return;
        if (phase == 0) {
            Lane mine;
            const std::int64_t end = math::min(begin + sums::leaf, tensor.size);
            ADAMCORE_ROLLED
            for (std::int64_t i = begin + lane; i < end; i += sums::lanes) Observe::add(a, tensor, i, mine);
            ADAMCORE_UNROLL
            for (int k = 0; k < Observe::sum_count; ++k) shared.sum[warp][k][lane] = mine.sum[k];
            ADAMCORE_UNROLL
            for (int k = 0; k < Observe::counts; ++k) shared.count[warp][k][lane] = mine.count[k];
            shared.largest[warp][lane] = mine.largest;
        } else if (phase <= halvings) {
            halve_all(shared, warp, phase - 1, lane);
        } else if (lane == 0) {
            Observe::finish(a, here.first + warp, shared.sum[warp], shared.largest[warp][0], shared.count[warp]);
        }
    }

    /// What a thread adds up.
    struct Lane {
        double sum[Observe::sum_count] = {};
        double largest = 0;
        std::int64_t count[Observe::counts] = {};
    };

private:
    ADAMCORE_FN static void halve_all(Shared& shared, int warp, int phase, int lane) {
        const int half = sums::lanes >> (phase + 1);
        ADAMCORE_UNROLL
        for (int k = 0; k < Observe::sum_count; ++k) halve(shared.sum[warp][k], phase, lane);
        if (lane >= half) return;
        double& largest = shared.largest[warp][lane];
        largest = math::max(largest, shared.largest[warp][lane + half]);
        ADAMCORE_UNROLL
        for (int k = 0; k < Observe::counts; ++k) shared.count[warp][k][lane] += shared.count[warp][k][lane + half];
    }
};

/// Sums gradients and first moments, and keeps what is stored of parameters.
struct ObserveEarly {
    static constexpr int sum_count = 5, counts = 1;
    using Lane = ObserveLeaves<ObserveEarly>::Lane;

    ADAMCORE_FN static void note(const ObserveArguments& a) {
        const Scale by = Scale(1) / (Scale(a.scaling ? a.scaling->scale : a.loss_scale) * a.divisor);
        *a.seen = {by.number, by.power, 0};
    }

    ADAMCORE_FN static void add(const ObserveArguments& a, const ObservedTensor& tensor, std::int64_t i, Lane& lane) {
        const Tensor& stepped = a.tensors[tensor.place];
        const double g = internal::wide_at({a.grads[tensor.place], stepped.grad_dtype, tensor.grad}, i);
        lane.sum[0] += g * g;
        if (stepped.grad_dtype == Dtype::float64) {
            const double small = g * 0x1p-540, large = g * 0x1p540;
            lane.sum[1] += small * small;
            lane.sum[2] += large * large;
        }
        const double magnitude = g < 0 ? -g : g;
        lane.largest = math::select(magnitude > lane.largest, magnitude, lane.largest);
        lane.count[0] += g == 0;
        if (tensor.first.data && (a.parts & statistics::agreement) != 0) {
            const double m = internal::wide_at(tensor.first, i);
            lane.sum[3] += m * g;
            lane.sum[4] += m * m;
        }
        if (tensor.loses) global(tensor.stored)[i] = static_cast<float>(internal::wide_at(tensor.param, i));
    }

    ADAMCORE_FN static void finish(const ObserveArguments& a, std::int64_t place, double (&sum)[sum_count][sums::lanes],
                                   double largest, std::int64_t (&count)[counts][sums::lanes]) {
        a.early[place] = {sum[0][0], sum[1][0], sum[2][0], sum[3][0], sum[4][0], largest, count[0][0]};
    }
};

/// Sums weights, their changes, and second moments, when the step is done. A step that was stopped has changed nothing.
struct ObserveLate {
    static constexpr int sum_count = 3, counts = 2;
    using Lane = ObserveLeaves<ObserveLate>::Lane;

    ADAMCORE_FN static void note(const ObserveArguments& a) { a.seen->skip = a.control->skip; }

    ADAMCORE_FN static void add(const ObserveArguments& a, const ObservedTensor& tensor, std::int64_t i, Lane& lane) {
        if (a.control->skip == Control::skipped) return;
        if (tensor.before.data) {
            const double was = internal::wide_at(tensor.before, i);
            const double is = a.control->skip != 0 ? was : internal::wide_at(tensor.after, i), change = is - was;
            lane.sum[0] += was * was;
            lane.sum[1] += change * change;
            if (tensor.loses && is != was)
                lane.count[0] += internal::wide_at(tensor.param, i) == static_cast<double>(tensor.stored[i]);
        }
        if (tensor.second.data && (a.parts & statistics::seconds) != 0) {
            const double v = internal::wide_at(tensor.second, i);
            lane.sum[2] += v;
            const std::int32_t clock = a.tensors[tensor.place].group;
            lane.count[1] += v < statistics::floor_of(a.facts[clock].second);
        }
    }

    ADAMCORE_FN static void finish(const ObserveArguments& a, std::int64_t place, double (&sum)[sum_count][sums::lanes],
                                   double, std::int64_t (&count)[counts][sums::lanes]) {
        a.late[place] = {sum[0][0], sum[1][0], sum[2][0], count[0][0], count[1][0]};
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstdint>
#include <new>

#include "adamcore/cuda/table.hpp"
#include "adamcore/weights/average.hpp"
#include "adamcore/weights/passes.hpp"

/// How far averages of weights move after a step, which the device computes: it alone knows which steps are skipped, and
/// what replays do.
namespace adamcore::cuda {

/// An average in device memory.
struct AverageState {
    WeightAverage average;
    WeightAverage::Progress progress;
    Constants constants[compute_type_count];  ///< of the pass that follows, by compute type
    Control control;                          ///< skips it if the average stays
};

struct AdvanceArguments {
    AverageState* averages;
    std::int32_t count;
    const Control* control;  ///< of the step
    const Course* course;
};

/// Counts a step, with one thread for each average. (A step that was stopped after a pass counts.)
struct Advance {
    using Arguments = AdvanceArguments;

    static constexpr int resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (at.thread >= a.count) return;
        AverageState& state = a.averages[at.thread];
        const bool counts = a.control->skip != Control::skipped;
        const double share = counts ? state.average.advance(state.progress, a.course->completed) : 0.0;
        state.control = {1.0, 0, share == 0 ? Control::skipped : 0};
        set<float>(state.constants[0], share);
        set<double>(state.constants[1], share);
    }

private:
    template <class T>
    ADAMCORE_FN static void set(Constants& constants, double share) {
        new (constants.step.bytes) weight_pass::Step<T>{static_cast<T>(share)};
        constants.grad_scale = 1;
        constants.count = 0;
    }
};

}  // namespace adamcore::cuda

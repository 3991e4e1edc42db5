#pragma once

#include <cstdint>

#include "adamcore/clip.hpp"
#include "adamcore/cuda/reduce.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/rules/all.hpp"

/// What must be known before gradients are applied: whether they are finite, by what they are clipped, the number of the
/// step, and what a rule computes once per step. One block; the host need not know the answer.
namespace adamcore::cuda {

struct DecideArguments {
    // Of what was measured.
    bool measures;
    std::int64_t count;  ///< of measured tensors
    const Measured* measured;
    norm::Squares* terms;
    const std::int64_t* first;
    norm::Squares* totals;
    Clip clip;
    double limit;
    bool check;  ///< whether a gradient that is not finite stops the step
    double loss_scale;
    LossScaling* scaling;    ///< or null
    double* tensor_factors;  ///< or null
    Outcome* outcome;        ///< or null

    // Of the step itself.
    Control* control;
    Clock* clocks;
    const std::int32_t* ticks;  ///< whether a clock's tensors have gradients
    std::int32_t clock_count;
    const Group* groups;
    Constants* constants;
    std::int64_t* completed;
};

struct Decide {
    using Arguments = DecideArguments;

    struct Shared {
        std::int32_t culprit[threads];
    };

    ADAMCORE_FN static int phases(const Arguments& a, Place) { return a.measures ? fold_levels(a.count) + 3 : 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const int last = phases(a, at) - 1;
        if (phase == last) {
            if (!a.control->skip) advance(a, at.thread);
        } else if (phase == last - 1) {
            if (at.thread == 0) decide(a, shared);
        } else if (phase == 0) {
            look(a, at.thread, shared);
        } else {
            fold_level(a.totals, a.count, phase - 1, at.thread, threads);
        }
    }

private:
    /// Each array's total, and what depends on that alone.
    ADAMCORE_FN static void look(const Arguments& a, int thread, Shared& shared) {
        const double scale = unscaling(a.scaling, a.loss_scale);
        std::int32_t culprit = -1;
        for (std::int64_t i = thread; i < a.count; i += threads) {
            const Measured& measured = a.measured[i];
            const norm::Squares total = total_of(a.terms, a.first, i);
            a.totals[i] = total;
            if (culprit < 0 && !norm::fits(total, measured.narrows != 0)) culprit = measured.tensor;
            if (a.clip == Clip::norm_per_tensor)
                a.tensor_factors[measured.tensor] = norm::clip_factor(total, scale, a.limit);
        }
        shared.culprit[thread] = culprit;
    }

    ADAMCORE_FN static void decide(const Arguments& a, const Shared& shared) {
        Control control{unscaling(a.scaling, a.loss_scale), 0};
        if (a.measures) {
            Outcome outcome{0, 0, -1};
            for (int i = 0; i < threads; ++i) {
                const std::int32_t culprit = shared.culprit[i];
                if (culprit >= 0 && (outcome.culprit < 0 || culprit < outcome.culprit)) outcome.culprit = culprit;
            }
            const norm::Squares squares = a.count > 0 ? a.totals[0] : norm::Squares{};
            outcome.norm = norm::root(squares, control.scale);
            outcome.skipped = a.check && outcome.culprit >= 0;
            control.skip = outcome.skipped;
            if (a.clip == Clip::norm) control.scale *= norm::clip_factor(squares, control.scale, a.limit);
            if (a.scaling) update(*a.scaling, control.skip != 0);
            if (a.outcome) *a.outcome = outcome;
        }
        if (!control.skip) ++*a.completed;
        *a.control = control;
    }

    /// What LossScaler.update does in Python.
    ADAMCORE_FN static void update(LossScaling& s, bool overflow) {
        if (!overflow) {
            if (++s.clean_steps == s.growth_interval) {
                s.clean_steps = 0;
                s.scale = math::min(s.scale * s.growth_factor, s.largest);
            }
        } else {
            s.clean_steps = 0;
            if (s.scale <= s.min_scale) {
                s.failed = 1;
            } else {
                s.scale = math::max(s.scale * s.backoff_factor, s.min_scale);
            }
        }
        s.multiplier = static_cast<float>(s.scale);
    }

    ADAMCORE_FN static void advance(const Arguments& a, int thread) {
        for (std::int32_t i = thread; i < a.clock_count; i += threads) {
            if (!a.ticks[i]) continue;
            Clock& clock = a.clocks[i];
            const Group& group = a.groups[clock.group];
            Constants& constants = a.constants[i];
            constants.count = ++clock.step;
            constants.grad_scale = group.grad_scale;
            detail::prepare_by_place(rules::All{}, group.rule, group.hyper, clock.step, clock.dtype, constants.step);
        }
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstdint>

#include "adamcore/clip.hpp"
#include "adamcore/cuda/reduce.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/rules/all.hpp"

/// What must be known before gradients are applied: whether they are finite, by what they are clipped, the number of the
/// step, and what a rule computes once per step. One block; the host need not know the answer.
namespace adamcore::cuda {

/// Measured tensors, one by one.
struct LookArguments {
    std::int64_t count;
    const Measured* measured;
    norm::Squares* terms;
    const std::int64_t* first;
    norm::Squares* totals;
    Clip clip;
    double limit;
    double loss_scale;
    LossScaling* scaling;    ///< or null
    double* tensor_factors;  ///< or null
    std::int32_t* culprits;  ///< of each block of Look: the first tensor whose gradient is not finite, or -1
};

/// A tensor's total, and what depends on that alone. Returns the tensor if its gradient is not finite, else -1.
ADAMCORE_FN std::int32_t look_at(const LookArguments& a, std::int64_t i) {
    const Measured& measured = a.measured[i];
    const norm::Squares total = total_of(a.terms, a.first, i);
    a.totals[i] = total;
    if (a.clip == Clip::norm_per_tensor)
        a.tensor_factors[measured.tensor] = norm::clip_factor(total, unscaling(a.scaling, a.loss_scale), a.limit);
    return norm::fits(total, measured.narrows != 0) ? -1 : measured.tensor;
}

/// The first of two tensors, of which -1 is none.
ADAMCORE_FN std::int32_t first_of(std::int32_t a, std::int32_t b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

/// Looks at many tensors, each by a thread, before Decide does.
struct Look {
    using Arguments = LookArguments;

    struct Shared {
        std::int32_t culprit[threads];
    };

    ADAMCORE_FN static int phases(const Arguments&, Place) { return 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (phase == 0) {
            const std::int64_t i = at.block * threads + at.thread;
            shared.culprit[at.thread] = i < a.count ? look_at(a, i) : -1;
        } else if (at.thread == 0) {
            std::int32_t culprit = -1;
            for (const std::int32_t each : shared.culprit) culprit = first_of(culprit, each);
            a.culprits[at.block] = culprit;
        }
    }
};

struct DecideArguments {
    LookArguments look;
    bool measures;
    bool check;             ///< whether a gradient that is not finite stops the step
    norm::Squares* sums;    ///< look.totals or, where Look has been, what Fold has made of them
    std::int64_t count;     ///< of sums
    std::int64_t culprits;  ///< of look.culprits, where Look has been; else 0
    Outcome* outcome;       ///< or null

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
            shared.culprit[at.thread] = find_culprit(a, at.thread);
        } else {
            fold_level(a.sums, a.count, phase - 1, at.thread, threads);
        }
    }

private:
    ADAMCORE_FN static std::int32_t find_culprit(const Arguments& a, int thread) {
        std::int32_t culprit = -1;
        if (a.culprits > 0) {
            for (std::int64_t i = thread; i < a.culprits; i += threads) culprit = first_of(culprit, a.look.culprits[i]);
        } else {
            for (std::int64_t i = thread; i < a.count; i += threads) culprit = first_of(culprit, look_at(a.look, i));
        }
        return culprit;
    }

    ADAMCORE_FN static void decide(const Arguments& a, const Shared& shared) {
        Control control{unscaling(a.look.scaling, a.look.loss_scale), 0};
        if (a.measures) {
            Outcome outcome{0, 0, -1};
            for (const std::int32_t each : shared.culprit) outcome.culprit = first_of(outcome.culprit, each);
            const norm::Squares squares = a.count > 0 ? a.sums[0] : norm::Squares{};
            outcome.norm = norm::root(squares, control.scale);
            outcome.skipped = a.check && outcome.culprit >= 0;
            control.skip = outcome.skipped;
            if (a.look.clip == Clip::norm) control.scale *= norm::clip_factor(squares, control.scale, a.look.limit);
            if (a.look.scaling) update(*a.look.scaling, control.skip != 0);
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

#pragma once

#include <cstdint>
#include <new>

#include "adamcore/bias.hpp"
#include "adamcore/cuda/passes/numbers.hpp"
#include "adamcore/cuda/reduce.hpp"
#include "adamcore/cuda/statistics/observe.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/optimizer/clip.hpp"
#include "adamcore/rule/make_info.hpp"
#include "adamcore/rule/second_moment.hpp"

/// Computes what must be known before gradients are applied: whether they are finite, how they are clipped, the number
/// of the step, and what a rule computes once per step. It is one block, and the host need not know the result.
namespace adamcore::cuda {

/// The arguments for examining measured tensors, one by one.
struct LookArguments {
    std::int64_t count;
    const Measured* measured;
    norm::Squares* terms;
    const std::int64_t* first;
    norm::Squares* totals;
    Clip clip;
    double limit;
    double loss_scale;
    Scale divisor;           ///< of accumulated gradients
    LossScaling* scaling;    ///< or null
    Scale* tensor_factors;   ///< or null
    std::int32_t* culprits;  ///< of each block of Look: the first tensor whose gradient is not finite, or -1
};

// These are calls, so that each exists once in a kernel: code that runs only a few times takes longer to read than to
// run.
ADAMCORE_AWAY inline norm::Squares total_at(norm::Squares* terms, const std::int64_t* first, std::int64_t array) {
    return total_of(terms, first, array);
}
ADAMCORE_AWAY inline double correction_of(bias::Powers& known, double beta, std::int64_t t) {
    return bias::correction(known, beta, t);
}

/// Computes a tensor's total and what depends only on it. Returns the tensor if its gradient is not finite, else -1.
ADAMCORE_FN std::int32_t look_at(const LookArguments& a, std::int64_t i) {
    const Measured& measured = a.measured[i];
    const norm::Squares total = total_at(a.terms, a.first, i);
    a.totals[i] = total;
    if (a.clip == Clip::norm_per_tensor)
        a.tensor_factors[measured.tensor] =
            norm::clip_factor(total, unscaling(a.scaling, a.loss_scale, a.divisor), a.limit);
    return norm::fits(total, measured.narrows != 0) ? -1 : measured.tensor;
}

/// The smaller of two tensor indices, where -1 means none.
ADAMCORE_FN std::int32_t first_of(std::int32_t a, std::int32_t b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

/// Finds the first of all threads' culprits by halving, and gives it to the first thread: after level k of `levels`,
/// the candidates are with the first threads >> (k + 1).
ADAMCORE_FN void fold_culprits(std::int32_t (&culprits)[threads], int level, int thread) {
    const int half = threads >> (level + 1);
    if (thread < half) culprits[thread] = first_of(culprits[thread], culprits[thread + half]);
}

inline constexpr int culprit_levels = 8;
static_assert(1 << culprit_levels == threads);

/// Examines many tensors, each with one thread, before Decide runs.
struct Look {
    using Arguments = LookArguments;

    static constexpr int resident = 1;

    struct Shared {
        std::int32_t culprit[threads];
    };

    ADAMCORE_FN static int phases(const Arguments&, Place) { return culprit_levels + 2; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (phase == 0) {
            const std::int64_t i = at.block * threads + at.thread;
            shared.culprit[at.thread] = i < a.count ? look_at(a, i) : -1;
        } else if (phase <= culprit_levels) {
            fold_culprits(shared.culprit, phase - 1, at.thread);
        } else if (at.thread == 0) {
            a.culprits[at.block] = shared.culprit[0];
        }
    }
};

struct DecideArguments {
    LookArguments look;
    bool decides;           ///< false: what has been decided stands; clocks of another rule or type are to be advanced
    bool measures;          ///< false, too, where it does not decide
    bool check;             ///< whether a gradient that is not finite stops the step
    SpikeLimit spikes;      ///< of the gradients' norm
    norm::Squares* sums;    ///< look.totals or, where Look has been, what Fold has made of them
    std::int32_t count;     ///< of sums
    int levels;             ///< levels_of(count), or 0 if nothing is measured
    std::int32_t culprits;  ///< of look.culprits, where Look has been; else 0
    Outcome* outcome;       ///< or null

    // The step itself.
    Control* control;
    Clock* clocks;
    const std::int32_t* ticks;  ///< by clock: its rule's place + 1, or 0 if its tensors have no gradients
    std::int32_t clock_count;
    Group* groups;
    Constants* constants;
    bias::Powers* powers;  ///< by clock, rule::max_decays each
    Course* course;
    const Tensor* tensors;
    double* shared;     ///< the optimizer's numbers (Rule::numbers)
    ClockFacts* facts;  ///< by clock, for statistics; or null
    bool follows;  ///< whether hyper-parameters come from the table of schedules; false, too, where it does not decide
};

/// Gives the hyper-parameters that follow schedules their values for the step after `completed` steps.
ADAMCORE_AWAY inline void follow_schedules(const ScheduleTable& table, std::int64_t completed, Group* groups,
                                           int thread) {
    const std::int64_t passed = completed - table.begin, last = table.count - 1;
    const std::int64_t place = passed < 0 ? 0 : passed < last ? passed : last;
    ADAMCORE_ROLLED
    for (std::int64_t i = thread; i < table.field_count; i += threads) {
        const ScheduledField scheduled = table.fields[i];
        groups[scheduled.group].hyper[static_cast<std::size_t>(scheduled.field)] =
            table.values[scheduled.row * table.count + place];
    }
}

/// The number of phases that it takes to fold this many sums, and the culprits of all threads.
inline int levels_of(std::int64_t count) {
    const int levels = fold_levels(count);
    return levels > culprit_levels ? levels : culprit_levels;
}

/// Decides, and computes in T the constants of the clocks whose tensors use Rule, which is rule number `place`.
template <class Rule, class T, int place>
struct Decide {
    using Arguments = DecideArguments;

    static constexpr int resident = 1;

    struct Shared {
        std::int32_t culprit[threads];
        norm::Squares terms[Fold::capacity];
    };

    /// The phases: examining and following schedules, folding, deciding, advancing. Powers come with the second.
    ADAMCORE_FN static int phases(const Arguments& a, Place) { return 3 + a.levels; }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (phase == 0) {
            if (a.measures) look(a, at.thread, shared);
            if (a.follows) follow_schedules(a.course->schedules, a.course->completed, a.groups, at.thread);
            return;
        }
        if (phase == 1) raise_powers(a, at.thread);
        if (phase <= a.levels) {
            if (phase <= culprit_levels) fold_culprits(shared.culprit, phase - 1, at.thread);
            fold_level(terms_of(a, shared), a.count, phase - 1, at.thread);
        } else if (phase == a.levels + 1) {
            if (a.decides && at.thread == 0) decide(a, shared);
        } else if (!a.control->skip) {
            advance(a, at.thread);
        }
    }

private:
    static constexpr int decays = rule::decay_count<Rule>;

    /// Sums are folded in shared memory if they fit.
    ADAMCORE_FN static norm::Squares* terms_of(const Arguments& a, Shared& shared) {
        return a.count <= Fold::capacity ? shared.terms : a.sums;
    }

    ADAMCORE_FN static void look(const Arguments& a, int thread, Shared& shared) {
        std::int32_t culprit = -1;
        ADAMCORE_ROLLED
        for (std::int32_t i = thread; i < a.culprits; i += threads) culprit = first_of(culprit, a.look.culprits[i]);
        ADAMCORE_ROLLED
        for (std::int32_t i = thread; i < a.count; i += threads) {
            if (a.culprits == 0) culprit = first_of(culprit, look_at(a.look, i));
            if (a.count <= Fold::capacity) shared.terms[i] = a.sums[i];
        }
        shared.culprit[thread] = culprit;
    }

    /// Computes 1 - decay^t for the next step of each clock, with one thread for each power. The results are stored
    /// where the constants will be. If the step is skipped, nothing is lost.
    ADAMCORE_FN static void raise_powers([[maybe_unused]] const Arguments& a, [[maybe_unused]] int thread) {
        if constexpr (decays > 0) {
            ADAMCORE_ROLLED
            for (std::int32_t k = thread; k < a.clock_count * decays; k += threads) {
                const std::int32_t i = k / decays;
                if (!is_due(a, i)) continue;
                const auto hyper = detail::hyper_of<Rule>(a.groups[a.clocks[i].group].hyper);
                bias::Powers& known = a.powers[i * rule::max_decays + k % decays];
                if (!a.clocks[i].knows_powers) known.beta = -1;
                corrections_of(a.constants[i])[k % decays] =
                    correction_of(known, rule::decay_of<Rule>(hyper, k % decays), a.clocks[i].step + 1);
            }
        }
    }

    ADAMCORE_FN static double* corrections_of(Constants& constants) {
        return reinterpret_cast<double*>(constants.step.bytes);
    }

    ADAMCORE_FN static bool is_due(const Arguments& a, std::int32_t clock) {
        return a.ticks[clock] == place + 1 && a.clocks[clock].dtype == dtype_of<T>;
    }

    ADAMCORE_FN static void decide(const Arguments& a, Shared& shared) {
        Scale scale = unscaling(a.look.scaling, a.look.loss_scale, a.look.divisor);
        std::int32_t skip = 0;
        if (a.measures) {
            Outcome outcome{0, 0, shared.culprit[0]};
            const norm::Squares squares = a.count > 0 ? terms_of(a, shared)[0] : norm::Squares{};
            outcome.norm = norm::root(squares, scale);
            const bool overflow = a.check && outcome.culprit >= 0;
            const bool is_spike = outcome.culprit < 0 && outcome.norm > a.spikes.norm;
            outcome.skipped = overflow || (is_spike && a.spikes.skips);
            skip = outcome.skipped ? Control::skipped : 0;
            if (a.look.clip == Clip::norm) {
                const double limit = is_spike ? a.spikes.norm : a.look.limit;
                scale = scale::product(scale, norm::clip_factor(squares, scale, limit));
            }
            if (a.look.scaling) update(*a.look.scaling, overflow);
            if (a.outcome) *a.outcome = outcome;
        }
        if (!skip) complete(*a.course, a.follows);
        *a.control = {scale.number, scale.power, skip};
    }

    ADAMCORE_FN static void complete(Course& course, bool follows) {
        if (follows && course.completed - course.schedules.begin >= course.schedules.count) ++course.overruns;
        ++course.completed;
    }

    /// The same as LossScaler.update in Python.
    ADAMCORE_FN static void update(LossScaling& s, bool overflow) {
        if (!overflow) {
            if (++s.clean_steps >= s.growth_interval) {
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
        ADAMCORE_ROLLED
        for (std::int32_t i = thread; i < a.clock_count; i += threads) {
            if (!is_due(a, i)) continue;
            Clock& clock = a.clocks[i];
            const Group& group = a.groups[clock.group];
            a.constants[i].count = ++clock.step;
            a.constants[i].begins = !clock.has_begun;
            clock.knows_powers = true;
            a.constants[i].grad_scale = group.grad_scale;
            prepare(a, group, clock, a.constants[i], a.facts ? a.facts + i : nullptr);
            if constexpr (rule::begins<Rule>) clock.has_begun = true;
        }
    }

    ADAMCORE_FN static void prepare([[maybe_unused]] const Arguments& a, const Group& group, const Clock& clock,
                                    Constants& constants, ClockFacts* facts) {
        const auto hyper = detail::hyper_of<Rule>(group.hyper);
        double corrections[decays + 1];
        for (int k = 0; k < decays; ++k) corrections[k] = corrections_of(constants)[k];
        const auto prepare_in = [&](rule::Context context) {
            using Step = typename Rule::template Step<T>;
            context.corrections = corrections;
            if (facts) *facts = {rule::describe_second_with<Rule, T>(hyper, context), constants.begins};
            new (constants.step.bytes) Step(rule::prepare_with<Rule, T>(hyper, context));
        };
        if constexpr (rule::has_own_constants<Rule>) {
            with_context<Rule>(a.tensors[clock.tensor], constants, a.shared, prepare_in);
        } else {
            rule::Context context;
            context.t = constants.count;
            context.begins = constants.begins;
            prepare_in(context);
        }
    }
};

}  // namespace adamcore::cuda

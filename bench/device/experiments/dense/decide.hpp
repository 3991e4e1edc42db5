#pragma once

#include <cstdint>

#include "adamcore/bias.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/optimizer/clip.hpp"
#include "adamcore/rules/all.hpp"
#include "common/before.hpp"
#include "common/kernel.hpp"

/// E1: what is decided of a step before it begins, by one block.
namespace adamcore::experiments {

/// What one of the two powers was at a step before: the product of the higher bits stays the same for 16 steps.
struct PowerCache {
    static constexpr int bits = 4;

    double beta;
    std::int64_t prefix;  ///< the step without its lowest bits; 0: nothing is known
    DoubleDouble power;
};

struct DecideArguments {
    Control* control;
    Clock* clocks;
    const std::int32_t* ticks;  ///< whether a clock's tensors have gradients
    std::int32_t clock_count;
    const Group* groups;
    Constants* constants;
    std::int64_t* completed;
    PowerCache* powers;  ///< two for each clock

    // Of a measured step. No experiment measures, but the code is there in the engine, and is here.
    bool measures, check;
    norm::Squares* sums;
    std::int64_t count;
    Clip clip;
    double limit, loss_scale;
};

/// When the update behind may begin.
enum class Release { at_end, at_start, after_wait };

struct DecideBase {
    static constexpr bool per_rule = false;  ///< AdamW alone, instead of a switch on all rules
    static constexpr bool lanes = false;     ///< the two powers by two threads, from the leading bit on
    static constexpr bool cached = false;    ///< powers of the higher bits are kept
    static constexpr Release release = Release::at_end;
};

namespace detail {

template <class Wanted, class... Rules>
constexpr std::size_t place_in(rule::List<Rules...>) {
    std::size_t place = 0;
    bool found = false;
    ((found = found || std::is_same_v<Wanted, Rules>, place += found ? 0 : 1), ...);
    return place;
}

inline constexpr std::size_t adamw_place = place_in<AdamW>(rules::All{});

ADAMCORE_FN int highest_bit(std::int64_t t) {
#if defined(__CUDA_ARCH__)
    return 63 - __clzll(t);
#else
    return 63 - __builtin_clzll(static_cast<unsigned long long>(t));
#endif
}

/// `power` is beta^(t >> count); multiplied up to beta^t.
ADAMCORE_FN DoubleDouble with_bits(DoubleDouble power, double beta, std::int64_t t, int count) {
    for (int bit = count - 1; bit >= 0; --bit) {
        power = double_double::multiply(power, power);
        if ((t >> bit) & 1) power = double_double::multiply(power, {beta, 0.0});
    }
    return power;
}

/// beta^t, t >= 1, in bias::correction's order.
ADAMCORE_FN DoubleDouble power_of(double beta, std::int64_t t) {
    return with_bits({beta, 0.0}, beta, t, highest_bit(t));
}

}  // namespace detail

template <class C>
struct Decide {
    using Arguments = DecideArguments;

    static constexpr int threads = 256, resident = 1;

    struct Shared {
        std::int32_t culprit[threads];
    };

    ADAMCORE_FN static int phases(const Arguments& a, Place) {
        return (a.measures ? fold_levels(a.count) + 3 : 2) + (C::lanes ? 1 : 0);
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (phase == 0) make_way();
        const int last = phases(a, at) - (C::lanes ? 2 : 1);
        if (phase > last) {
            if (!a.control->skip) tick(a, at.thread);
        } else if (phase == last) {
            if (!a.control->skip) advance(a, at.thread);
        } else if (phase == last - 1) {
            if (at.thread == 0) decide(a, shared);
        } else if (phase == 0) {
            shared.culprit[at.thread] = find_culprit(a, at.thread);
        } else {
            fold_level(a.sums, a.count, phase - 1, at.thread);
        }
    }

private:
    ADAMCORE_FN static void make_way() {
        if constexpr (C::release == Release::after_wait) await_previous_grid();
        if constexpr (C::release != Release::at_end) release_next_grid();
    }

    ADAMCORE_FN static int fold_levels(std::int64_t count) {
        int levels = 0;
        while ((std::int64_t{1} << levels) < count) ++levels;
        return levels;
    }

    ADAMCORE_FN static void fold_level(norm::Squares* terms, std::int64_t count, int level, int thread) {
        const std::int64_t reach = std::int64_t{1} << level;
        for (std::int64_t at = 2 * reach * thread; at + reach < count; at += 2 * reach * threads)
            terms[at] = terms[at] + terms[at + reach];
    }

    ADAMCORE_FN static std::int32_t first_of(std::int32_t a, std::int32_t b) {
        return a < 0 || (b >= 0 && b < a) ? b : a;
    }

    ADAMCORE_FN static std::int32_t find_culprit(const Arguments& a, int thread) {
        std::int32_t culprit = -1;
        for (std::int64_t i = thread; i < a.count; i += threads) {
            if (!norm::fits(a.sums[i], false)) culprit = first_of(culprit, static_cast<std::int32_t>(i));
        }
        return culprit;
    }

    ADAMCORE_FN static void decide(const Arguments& a, const Shared& shared) {
        Control control{1 / a.loss_scale, 0, 0};
        if (a.measures) {
            std::int32_t culprit = -1;
            for (const std::int32_t each : shared.culprit) culprit = first_of(culprit, each);
            const norm::Squares squares = a.count > 0 ? a.sums[0] : norm::Squares{};
            control.skip = a.check && culprit >= 0;
            if (a.clip == Clip::norm) control.scale *= before::clip_factor(squares, control.scale, a.limit);
        }
        if (!control.skip) ++*a.completed;
        *a.control = control;
    }

    ADAMCORE_FN static void advance(const Arguments& a, int thread) {
        if constexpr (C::lanes) {
            for (std::int32_t i = thread; i < 2 * a.clock_count; i += threads) {
                if (a.ticks[i / 2]) by_lane(a, i / 2, i % 2);
            }
        } else {
            for (std::int32_t i = thread; i < a.clock_count; i += threads) {
                if (!a.ticks[i]) continue;
                Clock& clock = a.clocks[i];
                whole(a, i, ++clock.step);
            }
        }
    }

    ADAMCORE_FN static void whole(const Arguments& a, std::int32_t i, std::int64_t t) {
        const Clock& clock = a.clocks[i];
        const Group& group = a.groups[clock.group];
        Constants& constants = a.constants[i];
        constants.count = t;
        constants.grad_scale = group.grad_scale;
        if constexpr (C::per_rule) {
            before::prepare_as<AdamW>(group.hyper, t, clock.dtype, constants.step);
        } else {
            before::prepare_by_place(rules::All{}, group.rule, group.hyper, t, clock.dtype, constants.step);
        }
    }

    /// Each of two lanes fills its half of Step.
    ADAMCORE_FN static void by_lane(const Arguments& a, std::int32_t i, int lane) {
        const Clock& clock = a.clocks[i];
        const std::int64_t t = clock.step + 1;
        if (!C::per_rule && a.groups[clock.group].rule != detail::adamw_place) {
            if (lane == 0) whole(a, i, t);
        } else if (clock.dtype == Dtype::float64) {
            fill<double>(a, i, lane, t);
        } else {
            fill<float>(a, i, lane, t);
        }
    }

    template <class T>
    ADAMCORE_FN static void fill(const Arguments& a, std::int32_t i, int lane, std::int64_t t) {
        const Group& group = a.groups[a.clocks[i].group];
        Constants& constants = a.constants[i];
        auto& step = *reinterpret_cast<before::AdamW::Step<T>*>(constants.step.bytes);
        const auto h = adamcore::detail::hyper_of<AdamW>(group.hyper);
        const double beta = lane == 0 ? h.beta1 : h.beta2;
        const DoubleDouble power = C::cached ? from_cache(a.powers[2 * i + lane], beta, t) : detail::power_of(beta, t);
        const double correction = (1.0 - power.high) - power.low;
        const double root = math::sqrt(correction);
        const double quotient = (lane == 0 ? h.lr : 1.0) / (lane == 0 ? correction : root);
        const Average<T> average = make_average<T>(beta, 1 - beta);
        if (lane == 0) {
            step.first = average;
            step.rate = T(quotient);
            step.eps = T(h.eps);
            step.decay = T(h.lr * h.weight_decay);
            step.l2 = 0;
            constants.grad_scale = group.grad_scale;
            constants.count = t;
        } else {
            step.second = average;
            step.root = T(quotient);
        }
    }

    ADAMCORE_FN static DoubleDouble from_cache(PowerCache& cache, double beta, std::int64_t t) {
        const std::int64_t prefix = t >> PowerCache::bits;
        if (prefix == 0) return detail::power_of(beta, t);
        if (cache.prefix != prefix || cache.beta != beta) cache = {beta, prefix, detail::power_of(beta, prefix)};
        return detail::with_bits(cache.power, beta, t, PowerCache::bits);
    }

    /// Where two lanes have read a count, it moves when both are done.
    ADAMCORE_FN static void tick(const Arguments& a, int thread) {
        for (std::int32_t i = thread; i < a.clock_count; i += threads) {
            if (a.ticks[i]) a.clocks[i].step = a.constants[i].count;
        }
    }
};

}  // namespace adamcore::experiments

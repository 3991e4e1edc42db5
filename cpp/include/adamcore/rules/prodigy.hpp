#pragma once

#include <cstddef>

#include "adamcore/average.hpp"
#include "adamcore/bias.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// Prodigy (Mishchenko & Defazio 2024, "Prodigy: an expeditiously adaptive parameter-free learner"): Adam whose learning
/// rate grows with an estimate d of the distance to the solution, which all parameters share.
struct Prodigy {
    static constexpr auto name = "prodigy";
    static constexpr auto slots =
        rule::slots("exp_avg", rule::square("exp_avg_sq"), "s", rule::unscaled("p0").from_param().in_full());
    static constexpr auto numbers = rule::named_numbers("d", "d_max", "d_numerator", "k");

    struct Hyper {
        double lr = 1.0, beta1 = 0.9, beta2 = 0.999, beta3 = rule::none, eps = 1e-8, weight_decay = 0.0, decouple = 1,
               use_bias_correction = 0, safeguard_warmup = 0, d0 = 1e-6, d_coef = 1.0, growth_rate = rule::infinite;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
        rule::beta("beta2", &Hyper::beta2, 1), rule::below_one("beta3", &Hyper::beta3).or_none(),
        rule::nonnegative("eps", &Hyper::eps), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::flag("decouple", &Hyper::decouple), rule::flag("use_bias_correction", &Hyper::use_bias_correction),
        rule::flag("safeguard_warmup", &Hyper::safeguard_warmup), rule::number("d0", &Hyper::d0, rule::Range::positive),
        rule::number("d_coef", &Hyper::d_coef, rule::Range::positive),
        rule::number("growth_rate", &Hyper::growth_rate, rule::Range::from_one));
    static constexpr auto common =
        rule::members(&Hyper::beta1, &Hyper::beta2, &Hyper::beta3, &Hyper::use_bias_correction, &Hyper::d0,
                      &Hyper::d_coef, &Hyper::growth_rate);
    static constexpr auto common_or_zero = rule::members(&Hyper::lr);

    /// Their places in `numbers`.
    enum Number : std::size_t { distance, largest, numerator, count };

    ADAMCORE_FN static double first_number(const Hyper& h, std::size_t index) {
        return index == distance || index == largest ? h.d0 : 0;
    }
    /// A group with a learning rate of 0 rests: it is left out of the sums, and nothing of it changes.
    ADAMCORE_FN static bool takes_part(const Hyper& h) { return h.lr != 0; }

    /// d * lr, with the correction of Adam's bias if that is wanted.
    ADAMCORE_FN static double rate_of(const Hyper& h, const double* shared) {
        const double rate = shared[distance] * h.lr;
        if (h.use_bias_correction == 0) return rate;
        const auto next = static_cast<std::int64_t>(shared[count]) + 1;
        return rate * (math::sqrt(bias::correction(h.beta2, next)) / bias::correction(h.beta1, next));
    }
    ADAMCORE_FN static double beta3_of(const Hyper& h) {
        return rule::is_none(h.beta3) ? math::sqrt(h.beta2) : h.beta3;
    }

    /// The second moment has the square of d as a factor.
    template <class T>
    ADAMCORE_FN static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context) {
        const double size = context.shared[distance];
        const auto next = static_cast<std::int64_t>(context.shared[count]) + 1;
        const double bias = h.use_bias_correction != 0 ? bias::correction(h.beta2, next) : 1;
        return {size * h.lr, size * size * bias, h.eps};
    }

    template <class T>
    struct Step {
        Average<T> first, second, sum;
        T rate, eps, decay;
        bool rests;
        double l2;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        const double size = context.shared[distance], rate = rate_of(h, context.shared);
        const double weight = size / h.d0 * (h.safeguard_warmup != 0 ? size : rate);
        const bool decouples = h.decouple != 0;
        return {make_average<T>(h.beta1, size * (1 - h.beta1)),
                make_average<T>(h.beta2, size * size * (1 - h.beta2)),
                make_average<T>(beta3_of(h), weight),
                T(rate),
                T(0),
                T(decouples ? h.weight_decay * rate : 0),
                !takes_part(h),
                decouples ? 0 : h.weight_decay};
    }

    /// Updates the averages, and sums what the new d is computed from.
    struct Averages {
        static constexpr auto sums = rule::sums(rule::Over::all, rule::Over::all);
        static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0) | rule::slot(1) | rule::slot(2) |
                                          rule::slot(3),
                                  writes = rule::slot(0) | rule::slot(1) | rule::slot(2);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>& s, G g, const T& p, T& m, T& v, T& sum, T& p0) {
            m = math::select(s.rests, m, average(s.first, m, g));
            v = math::select(s.rests, v, average_square(s.second, v, g));
            sum = math::select(s.rests, sum, average(s.sum, sum, g));
            const double wide = g, moved = static_cast<double>(p0) - static_cast<double>(p), total = sum;
            return rule::terms(math::select(s.rests, 0.0, wide * moved),
                               math::select(s.rests, 0.0, total < 0 ? -total : total));
        }

        ADAMCORE_FN static bool decide(const Hyper& h, const double* totals, double* shared) {
            if (totals[1] == 0) return false;
            const double weight = shared[distance] / h.d0 * rate_of(h, shared);
            shared[numerator] = beta3_of(h) * shared[numerator] + weight * totals[0];
            const double estimate = h.d_coef * shared[numerator] / totals[1];
            if (shared[distance] == h.d0) shared[distance] = math::max(shared[distance], estimate);
            shared[largest] = math::max(shared[largest], estimate);
            shared[distance] = math::min(shared[largest], shared[distance] * h.growth_rate);
            shared[count] += 1;
            return true;
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double*, Step<T>& s) {
            s.eps = T(context.shared[distance] * h.eps);
        }
    };
    using passes = rule::Passes<Averages>;

    static constexpr unsigned reads = rule::param | rule::slot(0) | rule::slot(1), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& p, T& m, T& v, T&, T&) {
        const T next = p - (s.decay * p + s.rate * (m / (math::sqrt(v) + s.eps)));
        p = math::select(s.rests, p, next);
    }
};

}  // namespace adamcore

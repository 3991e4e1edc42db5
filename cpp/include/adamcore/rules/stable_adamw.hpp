#pragma once

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// StableAdamW (Wortsman et al. 2023, "Stable and low-precision training for large-scale vision-language models"): AdamW
/// whose rate is reduced for tensors whose gradients are larger than their second moments.
struct StableAdamW {
    static constexpr auto name = "stableadamw";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"));

    struct Hyper {
        double lr = 1e-3, beta1 = 0.9, beta2 = 0.99, weight_decay = 1e-2, eps = 1e-6;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
        rule::beta("beta2", &Hyper::beta2, 1), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::nonnegative("eps", &Hyper::eps));

    static constexpr auto decays = rule::decays(&Hyper::beta1, &Hyper::beta2);

    /// `root` is 1 / sqrt(1 - beta2^t). `rate` and `decay` are complete once the sum is known.
    template <class T>
    struct Step {
        Average<T> first, second;
        T root, eps, rate, decay;
        double correction;  ///< 1 - beta1^t
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        return {make_average<T>(h.beta1, 1 - h.beta1),
                make_average<T>(h.beta2, 1 - h.beta2),
                T(1 / math::sqrt(context.corrections[1])),
                T(h.eps),
                T(0),
                T(0),
                context.corrections[0]};
    }

    /// Updates the moments, and sums the squares of gradients relative to the second moments.
    struct Moments {
        static constexpr auto sums = rule::sums(rule::Over::tensor);
        static constexpr unsigned reads = rule::grad | rule::slot(0) | rule::slot(1),
                                  writes = rule::slot(0) | rule::slot(1);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T&, T& m, T& v) {
            m = average(s.first, m, g);
            v = average_square(s.second, v, static_cast<double>(g));
            const double relative = T(g) / math::max(s.eps, math::sqrt(v) * s.root);
            return rule::terms(relative * relative);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            const double size = math::sqrt(totals[0] / static_cast<double>(context.size));
            const double rate = h.lr / math::max(1.0, size);
            s.rate = T(rate / s.correction);
            s.decay = T(rate * h.weight_decay);
        }
    };
    using passes = rule::Passes<Moments>;

    static constexpr unsigned reads = rule::param | rule::slot(0) | rule::slot(1), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& p, T& m, T& v) {
        p = p - (s.decay * p + s.rate * (m / (math::sqrt(v) * s.root + s.eps)));
    }
};

}  // namespace adamcore

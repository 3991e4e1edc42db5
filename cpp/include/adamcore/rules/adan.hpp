#pragma once

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// Adan (Xie et al. 2022, "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models"): Adam with a third
/// moment, of the differences of successive gradients.
struct Adan {
    static constexpr auto name = "adan";
    static constexpr bool begins = true;
    static constexpr auto slots =
        rule::slots("exp_avg", "exp_avg_diff", rule::square("exp_avg_sq"), rule::Slot("pre_grad").in_full());

    struct Hyper {
        double lr = 1e-3, beta1 = 0.98, beta2 = 0.92, beta3 = 0.99, eps = 1e-8, weight_decay = 0.0, no_prox = 0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
        rule::beta("beta2", &Hyper::beta2, 1), rule::beta("beta3", &Hyper::beta3, 2),
        rule::nonnegative("eps", &Hyper::eps), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::flag("no_prox", &Hyper::no_prox));

    static constexpr auto decays = rule::decays(&Hyper::beta1, &Hyper::beta2, &Hyper::beta3);

    /// `first_rate` and `change_rate` are what the moments are multiplied by, with their corrections, and `root` is
    /// 1 / sqrt(1 - beta3^t). There is no former gradient if state begins.
    template <class T>
    struct Step {
        Average<T> first, change, second;
        double beta2;
        T first_rate, change_rate, root, eps, decay;
        double begins;  ///< 1 or 0: compilers do not vectorise a choice between doubles by a bool
    };

    /// (p - u) / (1 + decay) is computed as p - (decay * p + u) / (1 + decay), which keeps the digits of a small decay.
    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        const double* const corrections = context.corrections;
        const double decay = h.lr * h.weight_decay, shrinks = h.no_prox != 0 ? 1 : 1 / (1 + decay);
        return {make_average<T>(h.beta1, 1 - h.beta1),
                make_average<T>(h.beta2, 1 - h.beta2),
                make_average<T>(h.beta3, 1 - h.beta3),
                h.beta2,
                T(shrinks * h.lr / corrections[0]),
                T(shrinks * h.lr * h.beta2 / corrections[1]),
                T(1 / math::sqrt(corrections[2])),
                T(h.eps),
                T(shrinks * decay),
                context.begins ? 1.0 : 0.0};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& d, T& v, T& before) {
        const double wide = g, change = math::select(s.begins != 0, 0.0, wide - static_cast<double>(before));
        m = average(s.first, m, g);
        d = average(s.change, d, change);
        v = average_square(s.second, v, wide + s.beta2 * change);
        before = T(g);
        p = p - (s.decay * p + (s.first_rate * m + s.change_rate * d) / (math::sqrt(v) * s.root + s.eps));
    }
};

}  // namespace adamcore

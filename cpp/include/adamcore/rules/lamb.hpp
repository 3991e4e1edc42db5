#pragma once

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// LAMB (You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes"): Adam's direction
/// plus decay, scaled to the norm of the parameter.
struct Lamb {
    static constexpr auto name = "lamb";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"));

    struct Hyper {
        double lr = 1e-3, bias_correction = 1, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, weight_decay = 0.01,
               grad_averaging = 1, trust_clip = 0, always_adapt = 0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::flag("bias_correction", &Hyper::bias_correction),
        rule::beta("beta1", &Hyper::beta1, 0), rule::beta("beta2", &Hyper::beta2, 1),
        rule::nonnegative("eps", &Hyper::eps), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::flag("grad_averaging", &Hyper::grad_averaging), rule::flag("trust_clip", &Hyper::trust_clip),
        rule::flag("always_adapt", &Hyper::always_adapt));

    static constexpr auto decays = rule::decays(&Hyper::beta1, &Hyper::beta2);

    /// `root` is (1 - beta1^t) / sqrt(1 - beta2^t) and `eps` is multiplied by 1 - beta1^t, so that a quotient of moments
    /// is corrected by one division.
    template <class T>
    struct Step {
        Average<T> first, second;
        T root, eps, decay;
        T rate;  ///< lr, and then lr times the ratio of norms
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        const bool corrects = h.bias_correction != 0;
        const double c1 = corrects ? context.corrections[0] : 1, c2 = corrects ? context.corrections[1] : 1;
        const double fresh = h.grad_averaging != 0 ? 1 - h.beta1 : 1;
        return {make_average<T>(h.beta1, fresh),
                make_average<T>(h.beta2, 1 - h.beta2),
                T(c1 / math::sqrt(c2)),
                T(h.eps * c1),
                T(h.weight_decay),
                T(h.lr)};
    }

    template <class T>
    ADAMCORE_FN static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context) {
        return {h.lr, h.bias_correction != 0 ? context.corrections[1] : 1, h.eps};
    }

    template <class T>
    ADAMCORE_FN static T direction(const Step<T>& s, T p, T m, T v) {
        return m / (math::sqrt(v) * s.root + s.eps) + s.decay * p;
    }

    /// Updates the moments, and sums the squares of the weights and of the direction.
    struct Moments {
        static constexpr auto sums = rule::sums(rule::Over::tensor, rule::Over::tensor);
        static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0) | rule::slot(1),
                                  writes = rule::slot(0) | rule::slot(1);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>& s, G g, const T& p, T& m, T& v) {
            m = average(s.first, m, g);
            v = average_square(s.second, v, g);
            const double weight = p, u = direction(s, p, m, v);
            return rule::terms(weight * weight, u * u);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context&, const double* totals, Step<T>& s) {
            if (h.weight_decay == 0 && h.always_adapt == 0) return;
            const double weights = math::sqrt(totals[0]), direction = math::sqrt(totals[1]);
            double ratio = weights > 0 && direction > 0 ? weights / direction : 1;
            if (h.trust_clip != 0) ratio = math::min(1.0, ratio);
            s.rate = T(h.lr * ratio);
        }
    };
    using passes = rule::Passes<Moments>;

    static constexpr unsigned reads = rule::param | rule::slot(0) | rule::slot(1), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& p, T& m, T& v) {
        p = p - s.rate * direction(s, p, m, v);
    }
};

}  // namespace adamcore

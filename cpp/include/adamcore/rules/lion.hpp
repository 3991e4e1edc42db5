#pragma once

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/rules/cautious.hpp"

namespace adamcore {

/// Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"): a step along the sign of an average.
struct Lion {
    static constexpr auto name = "lion";
    static constexpr auto slots = rule::slots("exp_avg");

    struct Hyper {
        double lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0.0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
        rule::beta("beta2", &Hyper::beta2, 1), rule::nonnegative("weight_decay", &Hyper::weight_decay));

    /// `keep` and `fresh` are the weights of the sum whose sign is the direction.
    template <class T>
    struct Step {
        double keep, fresh;
        Average<T> first;
        T rate, decay;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context&) {
        return {h.beta1, 1 - h.beta1, make_average<T>(h.beta2, 1 - h.beta2), T(h.lr), T(h.lr * h.weight_decay)};
    }

    /// In double, because the sign of a sum that was rounded could be another.
    template <class T, class G>
    ADAMCORE_FN static T direction(const Step<T>& s, G g, T m) {
        return T(math::sign(s.keep * static_cast<double>(m) + s.fresh * static_cast<double>(g)));
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m) {
        p = p - (s.decay * p + s.rate * direction(s, g, m));
        m = average(s.first, m, g);
    }
};

/// Lion with cautious updates.
struct LionCautious : Lion {
    static constexpr auto name = "lion_cautious";

    struct Count {
        static constexpr auto sums = cautious::sums;
        static constexpr unsigned reads = rule::grad | rule::slot(0), writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T&, const T& m) {
            return cautious::count(direction(s, g, m), g);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            s.rate = T(h.lr / cautious::share(context, totals[0]));
        }
    };
    using passes = rule::Passes<Count>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m) {
        const T u = direction(s, g, m);
        p = p - (s.decay * p + s.rate * math::select(cautious::agrees(u, g), u, T(0)));
        m = average(s.first, m, g);
    }
};

}  // namespace adamcore

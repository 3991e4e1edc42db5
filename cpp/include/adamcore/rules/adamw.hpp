#pragma once

#include <cstdint>

#include "adamcore/rules/adam.hpp"
#include "adamcore/rules/cautious.hpp"

namespace adamcore {

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).
///
/// p - (lr wd p + step) equals (1 - lr wd) p - step. The first form is used because 1 - lr wd as a float has only a few
/// bits of the decay (at lr wd = 1e-7 it is 19% off), and because the parameter is rounded only once.
struct AdamW {
    static constexpr auto name = "adamw";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"));

    struct Hyper {
        double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
    };
    static constexpr auto fields = adam::fields<Hyper>();

    static constexpr auto decays = rule::decays(&Hyper::beta1, &Hyper::beta2);

    template <class T>
    struct Step : adam::Step<T> {
        T decay;  ///< the decay of the parameter itself
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t, const adam::Corrections& corrections) {
        return {adam::prepare<T>(h, corrections), T(h.lr * h.weight_decay)};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& v) {
        m = average(s.first, m, g);
        v = average_square(s.second, v, g);
        p = p - (s.decay * p + s.rate * adam::direction(s, m, v));
    }
};

/// AdamW with cautious updates.
struct AdamWCautious : AdamW {
    static constexpr auto name = "adamw_cautious";

    /// `whole_rate` is the rate if all elements agree.
    template <class T>
    struct Step : AdamW::Step<T> {
        double whole_rate;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t t, const adam::Corrections& corrections) {
        return {AdamW::prepare<T>(h, t, corrections), h.lr / corrections[0]};
    }

    /// Updates the moments, and counts the elements that agree. The direction has the sign of the first moment.
    struct Moments {
        static constexpr auto sums = cautious::sums;
        static constexpr unsigned reads = rule::grad | rule::slot(0) | rule::slot(1),
                                  writes = rule::slot(0) | rule::slot(1);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T&, T& m, T& v) {
            const double gradient = g;
            m = average(s.first, m, gradient);
            v = average_square(s.second, v, gradient);
            return cautious::count(m, g);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper&, const rule::Context& context, const double* totals, Step<T>& s) {
            s.rate = T(s.whole_rate / cautious::share(context, totals[0]));
        }
    };
    using passes = rule::Passes<Moments>;

    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0) | rule::slot(1), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static T moved(const Step<T>& s, G g, T p, T m, T v) {
        const T u = adam::direction(s, m, v);
        return p - (s.decay * p + s.rate * math::select(cautious::agrees(m, g), u, T(0)));
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& v) {
        p = moved(s, g, p, m, v);
    }
};

/// AdamW with AMSGrad's maximum (Reddi, Kale & Kumar 2018).
struct AdamWAmsgrad : AdamW {
    static constexpr auto name = "adamw_amsgrad";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"), rule::square("max_exp_avg_sq"));

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& v, T& v_max) {
        m = average(s.first, m, g);
        v = average_square(s.second, v, g);
        v_max = math::max(v_max, v);
        p = p - (s.decay * p + s.rate * adam::direction(s, m, v_max));
    }
};

/// Both.
struct AdamWAmsgradCautious : AdamWCautious {
    static constexpr auto name = "adamw_amsgrad_cautious";
    static constexpr auto slots = AdamWAmsgrad::slots;

    struct Moments : AdamWCautious::Moments {
        static constexpr unsigned reads = AdamWCautious::Moments::reads | rule::slot(2),
                                  writes = AdamWCautious::Moments::writes | rule::slot(2);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T& p, T& m, T& v, T& v_max) {
            const auto found = AdamWCautious::Moments::visit(s, g, p, m, v);
            v_max = math::max(v_max, v);
            return found;
        }
    };
    using passes = rule::Passes<Moments>;

    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0) | rule::slot(2), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T&, T& v_max) {
        p = moved(s, g, p, m, v_max);
    }
};

}  // namespace adamcore

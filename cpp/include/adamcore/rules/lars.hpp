#pragma once

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// LARS (You, Gitman & Ginsburg 2017, "Large batch training of convolutional networks"): SGD on gradients, decay
/// included, that are scaled to the norm of the parameter.
struct Lars {
    static constexpr auto name = "lars";
    static constexpr auto slots = rule::slots();

    struct Hyper {
        double lr = 1.0, momentum = 0.0, dampening = 0.0, weight_decay = 0.0, trust_coeff = 1e-3, eps = 1e-8,
               trust_clip = 0, always_adapt = 0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::nonnegative("momentum", &Hyper::momentum),
        rule::finite("dampening", &Hyper::dampening), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::nonnegative("trust_coeff", &Hyper::trust_coeff), rule::nonnegative("eps", &Hyper::eps),
        rule::flag("trust_clip", &Hyper::trust_clip), rule::flag("always_adapt", &Hyper::always_adapt));

    /// The gradient with decay is `ratio * (g + decay * p)`, in double.
    template <class T>
    struct Step {
        T lr, momentum;
        Average<T> buffer;
        double decay, ratio;
        bool starts;  ///< whether this step initialises the buffer
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        const auto buffer = context.begins ? make_average<T>(0, 1) : make_average<T>(h.momentum, 1 - h.dampening);
        return {T(h.lr), T(h.momentum), buffer, h.weight_decay, 1, context.begins};
    }

    struct Norms {
        static constexpr auto sums = rule::sums(rule::Over::tensor, rule::Over::tensor);
        static constexpr unsigned reads = rule::param | rule::grad, writes = 0;

        template <class T, class G, class... State>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>&, G g, const T& p, State&...) {
            const double weight = p, gradient = g;
            return rule::terms(weight * weight, gradient * gradient);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context&, const double* totals, Step<T>& s) {
            if (h.weight_decay == 0 && h.always_adapt == 0) return;
            const double weights = math::sqrt(totals[0]), gradient = math::sqrt(totals[1]);
            const bool adapts = weights > 0 && gradient > 0;
            s.ratio = adapts ? h.trust_coeff * weights / (gradient + h.weight_decay * weights + h.eps) : 1;
            if (h.trust_clip != 0) s.ratio = s.ratio >= h.lr ? 1 : s.ratio / h.lr;  // lr may be 0
        }
    };
    using passes = rule::Passes<Norms>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p) {
        p = T(p - s.lr * adapted(s, g, p));
    }

protected:
    template <class T, class G>
    ADAMCORE_FN static double adapted(const Step<T>& s, G g, T p) {
        return (static_cast<double>(g) + s.decay * static_cast<double>(p)) * s.ratio;
    }

    /// The buffer begins as the first gradient, whatever it contained, even NaN.
    template <class T>
    ADAMCORE_FN static T next(const Step<T>& s, double g, T buffer) {
        return average(s.buffer, math::select(s.starts, T(0), buffer), g);
    }
};

struct LarsMomentum : Lars {
    static constexpr auto name = "lars_momentum";
    static constexpr auto slots = rule::slots("momentum_buffer");
    static constexpr bool begins = true;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& buffer) {
        buffer = next(s, adapted(s, g, p), buffer);
        p = p - s.lr * buffer;
    }
};

struct LarsNesterov : Lars {
    static constexpr auto name = "lars_nesterov";
    static constexpr auto slots = rule::slots("momentum_buffer");
    static constexpr bool begins = true;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& buffer) {
        const double seen = adapted(s, g, p);
        buffer = next(s, seen, buffer);
        p = p - s.lr * T(seen + static_cast<double>(s.momentum) * static_cast<double>(buffer));
    }
};

}  // namespace adamcore

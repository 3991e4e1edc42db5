#pragma once

#include <adamcore/adamcore.hpp>

namespace rule = adamcore::rule;
namespace math = adamcore::math;

/// Normalized SGD with momentum (Cutkosky & Mehta 2020): in each step every tensor moves by the same distance, lr.
struct NormalizedSgd {
    static constexpr auto name = "normalized_sgd";
    static constexpr auto slots = rule::slots("momentum_buffer");

    struct Hyper {
        double lr = 1e-2, momentum = 0.9;
    };
    static constexpr auto fields =
        rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr), rule::below_one("momentum", &Hyper::momentum));

    /// The constants of a step. T is float or double.
    template <class T>
    struct Step {
        T keep, fresh, rate;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context&) {
        return {T(h.momentum), T(1 - h.momentum), T(0)};
    }

    /// Before the update: averages the gradient, and sums the squares of the averages.
    struct Average {
        static constexpr auto sums = rule::sums(rule::Over::tensor);
        static constexpr unsigned reads = rule::grad | rule::slot(0), writes = rule::slot(0);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T&, T& buffer) {
            buffer = s.keep * buffer + s.fresh * T(g);
            const double wide = buffer;
            return rule::terms(wide * wide);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context&, const double* totals, Step<T>& s) {
            const double norm = math::sqrt(totals[0]);
            s.rate = norm > 0 ? T(h.lr / norm) : T(0);
        }
    };
    using passes = rule::Passes<Average>;

    static constexpr unsigned reads = rule::param | rule::slot(0), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G, T& p, T& buffer) {
        p = p - s.rate * buffer;
    }
};

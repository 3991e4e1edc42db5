#pragma once

#include <cstdint>

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// RMSprop (Tieleman & Hinton 2012, lecture 6.5), with weight decay as an L2 term in the gradient.
struct RmsProp {
    static constexpr auto name = "rmsprop";
    static constexpr auto slots = rule::slots(rule::square("square_avg"));

    struct Hyper {
        double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0.0, momentum = 0.0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::fraction("alpha", &Hyper::alpha),
        rule::nonnegative("eps", &Hyper::eps), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::nonnegative("momentum", &Hyper::momentum));

    template <class T>
    struct Step {
        T lr;
        Average<T> average;
        T eps, momentum;
        double l2;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t) {
        return {T(h.lr), make_average<T>(h.alpha, 1 - h.alpha), T(h.eps), T(h.momentum), h.weight_decay};
    }

    /// Updates the average and returns g / (sqrt(square) + eps).
    template <class T, class G>
    ADAMCORE_FN static T scaled(const Step<T>& s, G g, T& square) {
        square = average_square(s.average, square, g);
        return T(g) / (math::sqrt(square) + s.eps);
    }

    /// The same with the variance instead of the square (Graves 2013).
    ///
    /// With steady gradients the variance is a difference of nearly equal numbers, so it is computed in double before
    /// the averages are rounded. If rounding of the stored averages makes it negative (PyTorch's result is NaN then),
    /// it is set to zero.
    template <class T, class G>
    ADAMCORE_FN static T centered(const Step<T>& s, G g, T& square, T& mean) {
        const Average<T>& a = s.average;
        const double wide_g = g;
        const double wide_square = a.wide_keep * square + a.wide_fresh * wide_g * wide_g;
        const double wide_mean = a.wide_keep * mean + a.wide_fresh * wide_g;
        square = T(wide_square);
        mean = T(wide_mean);
        const T variance = math::max(T(0), T(wide_square - wide_mean * wide_mean));
        return T(g) / (math::sqrt(variance) + s.eps);
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& square) {
        p = p - s.lr * scaled(s, g, square);
    }
};

struct RmsPropMomentum : RmsProp {
    static constexpr auto name = "rmsprop_momentum";
    static constexpr auto slots = rule::slots(rule::square("square_avg"), "momentum_buffer");

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& square, T& buffer) {
        buffer = s.momentum * buffer + scaled(s, g, square);
        p = p - s.lr * buffer;
    }
};

struct RmsPropCentered : RmsProp {
    static constexpr auto name = "rmsprop_centered";
    static constexpr auto slots = rule::slots(rule::square("square_avg"), "grad_avg");

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& square, T& mean) {
        p = p - s.lr * centered(s, g, square, mean);
    }
};

struct RmsPropCenteredMomentum : RmsProp {
    static constexpr auto name = "rmsprop_centered_momentum";
    static constexpr auto slots = rule::slots(rule::square("square_avg"), "momentum_buffer", "grad_avg");

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& square, T& buffer, T& mean) {
        buffer = s.momentum * buffer + centered(s, g, square, mean);
        p = p - s.lr * buffer;
    }
};

}  // namespace adamcore

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/rule.hpp"

namespace adamcore {

/// RMSprop (Tieleman & Hinton 2012, lecture 6.5), with weight decay as an L2 term in the gradient.
struct RmsProp {
    static constexpr auto name = "rmsprop";
    static constexpr auto slots = rule::slots("square_avg");

    struct Hyper {
        double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0.0, momentum = 0.0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::fraction("alpha", &Hyper::alpha),
        rule::nonnegative("eps", &Hyper::eps), rule::nonnegative("weight_decay", &Hyper::weight_decay),
        rule::nonnegative("momentum", &Hyper::momentum));

    template <class T>
    struct Step {
        T lr, alpha, fresh, eps, decay, momentum;
        double wide_alpha, wide_fresh;
    };

    template <class T>
    static Step<T> prepare(const Hyper& h, std::int64_t) {
        return {T(h.lr), T(h.alpha), T(1 - h.alpha), T(h.eps), T(h.weight_decay), T(h.momentum), h.alpha, 1 - h.alpha};
    }

    /// g / (sqrt(square) + eps), the average updated.
    template <class T>
    ADAMCORE_FN static T scaled(const Step<T>& s, T g, T& square) {
        square = s.alpha * square + s.fresh * g * g;
        return g / (math::sqrt(square) + s.eps);
    }

    /// The same with the variance in place of the square (Graves 2013).
    ///
    /// The variance is a difference of nearly equal numbers when gradients are steady, so it is taken in double
    /// before the averages are rounded. Where the stored averages' rounding takes it below zero (PyTorch's result
    /// is NaN there) it is held at zero.
    template <class T>
    ADAMCORE_FN static T centered(const Step<T>& s, T g, T& square, T& mean) {
        const double wide_g = g;
        const double wide_square = s.wide_alpha * square + s.wide_fresh * wide_g * wide_g;
        const double wide_mean = s.wide_alpha * mean + s.wide_fresh * wide_g;
        square = T(wide_square);
        mean = T(wide_mean);
        const T variance = math::max(T(0), T(wide_square - wide_mean * wide_mean));
        return g / (math::sqrt(variance) + s.eps);
    }

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& square) {
        p = p - s.lr * scaled(s, g + s.decay * p, square);
    }
};

struct RmsPropMomentum : RmsProp {
    static constexpr auto name = "rmsprop_momentum";
    static constexpr auto slots = rule::slots("square_avg", "momentum_buffer");

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& square, T& buffer) {
        buffer = s.momentum * buffer + scaled(s, g + s.decay * p, square);
        p = p - s.lr * buffer;
    }
};

struct RmsPropCentered : RmsProp {
    static constexpr auto name = "rmsprop_centered";
    static constexpr auto slots = rule::slots("square_avg", "grad_avg");

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& square, T& mean) {
        p = p - s.lr * centered(s, g + s.decay * p, square, mean);
    }
};

struct RmsPropCenteredMomentum : RmsProp {
    static constexpr auto name = "rmsprop_centered_momentum";
    static constexpr auto slots = rule::slots("square_avg", "momentum_buffer", "grad_avg");

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& square, T& buffer, T& mean) {
        buffer = s.momentum * buffer + centered(s, g + s.decay * p, square, mean);
        p = p - s.lr * buffer;
    }
};

}  // namespace adamcore

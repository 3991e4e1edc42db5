#pragma once

#include <cstdint>

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// Stochastic gradient descent, with weight decay as an L2 term in the gradient.
struct Sgd {
    static constexpr auto name = "sgd";
    static constexpr auto slots = rule::slots();

    struct Hyper {
        double lr = 1e-3, momentum = 0.0, dampening = 0.0, weight_decay = 0.0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::nonnegative("momentum", &Hyper::momentum),
        rule::finite("dampening", &Hyper::dampening), rule::nonnegative("weight_decay", &Hyper::weight_decay));

    template <class T>
    struct Step {
        T lr, momentum;
        Average<T> buffer;
        double l2;
        T starts;  ///< 1 if this step initialises the buffer, or 0: compilers do not always vectorise a choice by a bool
    };

    /// The buffer begins as the first gradient, whatever it contained, even NaN. Dampening begins with the second
    /// gradient, as in PyTorch.
    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t, bool begins) {
        const auto buffer = begins ? make_average<T>(0, 1) : make_average<T>(h.momentum, 1 - h.dampening);
        return {T(h.lr), T(h.momentum), buffer, h.weight_decay, T(begins ? 1 : 0)};
    }
    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t t) {
        return prepare<T>(h, t, t == 1);
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p) {
        p = p - s.lr * T(g);
    }

protected:
    /// A buffer that has not been initialised is not used: zero times its contents may be NaN.
    template <class T, class G>
    ADAMCORE_FN static T next(const Step<T>& s, G g, T buffer) {
        return average(s.buffer, math::select(s.starts != 0, T(0), buffer), g);
    }
};

/// Momentum (Polyak 1964; Sutskever et al. 2013), with the learning rate outside the buffer.
struct SgdMomentum : Sgd {
    static constexpr auto name = "sgd_momentum";
    static constexpr auto slots = rule::slots("momentum_buffer");
    static constexpr bool begins = true;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& buffer) {
        buffer = next(s, g, buffer);
        p = p - s.lr * buffer;
    }
};

/// Nesterov momentum, in the form of Sutskever et al. 2013.
struct SgdNesterov : Sgd {
    static constexpr auto name = "sgd_nesterov";
    static constexpr auto slots = rule::slots("momentum_buffer");
    static constexpr bool begins = true;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& buffer) {
        buffer = next(s, g, buffer);
        p = p - s.lr * (T(g) + s.momentum * buffer);
    }
};

}  // namespace adamcore

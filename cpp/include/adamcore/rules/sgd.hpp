#pragma once

#include <cstddef>
#include <cstdint>

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
        T lr, momentum, fresh, decay;
    };

    /// The buffer starts as the first gradient itself, and without momentum there is no buffer to damp: both as
    /// PyTorch has it.
    template <class T>
    static Step<T> prepare(const Hyper& h, std::int64_t t) {
        const bool damped = t > 1 && h.momentum != 0;
        return {T(h.lr), T(h.momentum), T(damped ? 1 - h.dampening : 1.0), T(h.weight_decay)};
    }

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p) {
        p = p - s.lr * (g + s.decay * p);
    }
};

/// Momentum (Polyak 1964; Sutskever et al. 2013), the learning rate outside the buffer.
struct SgdMomentum : Sgd {
    static constexpr auto name = "sgd_momentum";
    static constexpr auto slots = rule::slots("momentum_buffer");

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& buffer) {
        buffer = s.momentum * buffer + s.fresh * (g + s.decay * p);
        p = p - s.lr * buffer;
    }
};

/// Nesterov's momentum, in the form of Sutskever et al. 2013.
struct SgdNesterov : SgdMomentum {
    static constexpr auto name = "sgd_nesterov";

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& buffer) {
        const T decayed = g + s.decay * p;
        buffer = s.momentum * buffer + s.fresh * decayed;
        p = p - s.lr * (decayed + s.momentum * buffer);
    }
};

}  // namespace adamcore

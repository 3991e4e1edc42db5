#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/bias.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// What Adam and AdamW share: the two moments, and the step along their ratio.
namespace adam {

struct Hyper {
    double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
};

inline constexpr auto fields =
    rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr), rule::below_one("beta1", &Hyper::beta1),
                        rule::below_one("beta2", &Hyper::beta2), rule::nonnegative("eps", &Hyper::eps),
                        rule::nonnegative("weight_decay", &Hyper::weight_decay));

/// lr / (1 - beta1^t) is `rate`, 1 / sqrt(1 - beta2^t) is `root`; `decay` is used as the rule's decay demands.
template <class T>
struct Step {
    T b1, a1, b2, a2, rate, root, eps, decay;
};

// 1 - beta and 1 - beta^t come from the same double: rounding one of them alone would bias the first steps.
template <class T>
Step<T> prepare(const Hyper& h, double decay, std::int64_t t) {
    return {T(h.beta1),
            T(1 - h.beta1),
            T(h.beta2),
            T(1 - h.beta2),
            T(h.lr / bias::correction(h.beta1, t)),
            T(1 / math::sqrt(bias::correction(h.beta2, t))),
            T(h.eps),
            T(decay)};
}

template <class T>
ADAMCORE_FN void moments(const Step<T>& s, T g, T& m, T& v) {
    m = s.b1 * m + s.a1 * g;
    v = s.b2 * v + s.a2 * g * g;
}

template <class T>
ADAMCORE_FN T direction(const Step<T>& s, T m, T v) {
    return m / (math::sqrt(v) * s.root + s.eps);
}

}  // namespace adam

/// Adam (Kingma & Ba 2015, algorithm 1), with weight decay as an L2 term in the gradient.
struct Adam {
    static constexpr auto name = "adam";
    static constexpr auto slots = rule::slots("exp_avg", "exp_avg_sq");
    using Hyper = adam::Hyper;
    static constexpr auto fields = adam::fields;

    template <class T>
    using Step = adam::Step<T>;

    template <class T>
    static Step<T> prepare(const Hyper& h, std::int64_t t) {
        return adam::prepare<T>(h, h.weight_decay, t);
    }

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& m, T& v) {
        adam::moments(s, g + s.decay * p, m, v);
        p = p - s.rate * adam::direction(s, m, v);
    }
};

/// AMSGrad (Reddi, Kale & Kumar 2018), as PyTorch has it: the maximum is taken before the bias correction.
struct AdamAmsgrad : Adam {
    static constexpr auto name = "adam_amsgrad";
    static constexpr auto slots = rule::slots("exp_avg", "exp_avg_sq", "max_exp_avg_sq");

    template <class T>
    ADAMCORE_FN static void update(const Step<T>& s, T g, T& p, T& m, T& v, T& v_max) {
        adam::moments(s, g + s.decay * p, m, v);
        v_max = math::max(v_max, v);
        p = p - s.rate * adam::direction(s, m, v_max);
    }
};

}  // namespace adamcore

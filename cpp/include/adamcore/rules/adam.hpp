#pragma once

#include <cstdint>

#include "adamcore/average.hpp"
#include "adamcore/bias.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// The common part of Adam and AdamW: the two moments, and the step along their ratio.
namespace adam {

struct Hyper {
    double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
};

template <class Hyper>
constexpr auto fields() {
    return rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
                               rule::beta("beta2", &Hyper::beta2, 1), rule::nonnegative("eps", &Hyper::eps),
                               rule::nonnegative("weight_decay", &Hyper::weight_decay));
}

/// `rate` is lr / (1 - beta1^t), and `root` is 1 / sqrt(1 - beta2^t).
template <class T>
struct Step {
    Average<T> first, second;
    T rate, root, eps;
};

/// The corrections that prepare() receives: 1 - beta1^t and 1 - beta2^t.
using Corrections = double[2];

// 1 - beta and 1 - beta^t are computed from the same double. If only one of them were rounded, the first steps would be
// biased.
template <class T, class Hyper>
ADAMCORE_FN Step<T> prepare(const Hyper& h, const Corrections& corrections) {
    return {make_average<T>(h.beta1, 1 - h.beta1), make_average<T>(h.beta2, 1 - h.beta2), T(h.lr / corrections[0]),
            T(1 / math::sqrt(corrections[1])), T(h.eps)};
}

template <class T>
ADAMCORE_FN T direction(const Step<T>& s, T m, T v) {
    return m / (math::sqrt(v) * s.root + s.eps);
}

}  // namespace adam

/// Adam (Kingma & Ba 2015, algorithm 1), with weight decay as an L2 term in the gradient.
struct Adam {
    static constexpr auto name = "adam";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"));
    using Hyper = adam::Hyper;
    static constexpr auto fields = adam::fields<Hyper>();

    static constexpr auto decays = rule::decays(&Hyper::beta1, &Hyper::beta2);

    template <class T>
    struct Step : adam::Step<T> {
        double l2;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t, const adam::Corrections& corrections) {
        return {adam::prepare<T>(h, corrections), h.weight_decay};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& v) {
        m = average(s.first, m, g);
        v = average_square(s.second, v, g);
        p = p - s.rate * adam::direction(s, m, v);
    }
};

/// AMSGrad (Reddi, Kale & Kumar 2018), as in PyTorch: the maximum is taken before the bias correction.
struct AdamAmsgrad : Adam {
    static constexpr auto name = "adam_amsgrad";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq"), rule::square("max_exp_avg_sq"));

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m, T& v, T& v_max) {
        m = average(s.first, m, g);
        v = average_square(s.second, v, g);
        v_max = math::max(v_max, v);
        p = p - s.rate * adam::direction(s, m, v_max);
    }
};

}  // namespace adamcore

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/rule.hpp"

namespace adamcore {

/// Adagrad (Duchi, Hazan & Singer 2011), with weight decay as an L2 term in the gradient.
struct Adagrad {
    static constexpr auto name = "adagrad";
    static constexpr auto slots = rule::slots(rule::square("sum"));

    struct Hyper {
        double lr = 1e-2, lr_decay = 0.0, weight_decay = 0.0, initial_accumulator_value = 0.0, eps = 1e-10;
    };
    static constexpr auto fields =
        rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr), rule::nonnegative("lr_decay", &Hyper::lr_decay),
                            rule::nonnegative("weight_decay", &Hyper::weight_decay),
                            rule::nonnegative("initial_accumulator_value", &Hyper::initial_accumulator_value),
                            rule::nonnegative("eps", &Hyper::eps));

    static double initial(const Hyper& h, std::size_t) { return h.initial_accumulator_value; }

    template <class T>
    struct Step {
        T lr, eps;
        double l2;
    };

    ADAMCORE_FN static double rate_of(const Hyper& h, std::int64_t t) {
        return h.lr / (1 + static_cast<double>(t - 1) * h.lr_decay);
    }
    template <class T>
    ADAMCORE_FN static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context) {
        return {rate_of(h, context.t), 1, h.eps};
    }

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t t) {
        return {T(rate_of(h, t)), T(h.eps), h.weight_decay};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& sum) {
        sum = T(sum + g * g);
        p = p - s.lr * (T(g) / (math::sqrt(sum) + s.eps));
    }
};

}  // namespace adamcore

#pragma once

#include <cstddef>

#include "adamcore/average.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// NovoGrad (Ginsburg et al. 2019, "Stochastic gradient methods with layer-wise adaptive moments for training of deep
/// networks"): gradients divided by the root of one second moment for the whole tensor.
struct NovoGrad {
    static constexpr auto name = "novograd";
    static constexpr auto slots = rule::slots("exp_avg", rule::square("exp_avg_sq").of_tensor());

    struct Hyper {
        double lr = 1e-3, beta1 = 0.95, beta2 = 0.98, eps = 1e-8, weight_decay = 0.0, grad_averaging = 0;
    };
    static constexpr auto fields = rule::fields<Hyper>(
        rule::nonnegative("lr", &Hyper::lr), rule::beta("beta1", &Hyper::beta1, 0),
        rule::beta("beta2", &Hyper::beta2, 1), rule::nonnegative("eps", &Hyper::eps),
        rule::nonnegative("weight_decay", &Hyper::weight_decay), rule::flag("grad_averaging", &Hyper::grad_averaging));

    /// All but `lr` in double, with one division for each tensor.
    template <class T>
    struct Step {
        T lr;
        double inverse, decay, keep, fresh;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context&) {
        const double fresh = h.grad_averaging != 0 ? 1 - h.beta1 : 1;
        return {T(h.lr), 1, h.weight_decay, h.beta1, fresh};
    }

    /// Averages the square of the gradient's norm. The average begins with the first that is not 0.
    struct Norm {
        static constexpr auto sums = rule::sums(rule::Over::tensor);
        static constexpr unsigned reads = rule::grad, writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>&, G g, const T&, T&) {
            const double gradient = g;
            return rule::terms(gradient * gradient);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            s.inverse = 1 / (math::sqrt(next(h, context.numbers[0], totals[0])) + h.eps);
        }

        ADAMCORE_FN static double next(const Hyper& h, double& average, double square) {
            average = average == 0 ? square : h.beta2 * average + (1 - h.beta2) * square;
            return average;
        }
    };
    using passes = rule::Passes<Norm>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& m) {
        m = T(s.keep * m + s.fresh * (g * s.inverse + s.decay * p));
        p = p - s.lr * m;
    }
};

/// With the largest second moment so far, as in AMSGrad.
struct NovoGradAmsgrad : NovoGrad {
    static constexpr auto name = "novograd_amsgrad";
    static constexpr auto slots =
        rule::slots("exp_avg", rule::square("exp_avg_sq").of_tensor(), rule::square("max_exp_avg_sq").of_tensor());

    struct Norm : NovoGrad::Norm {
        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            double& largest = context.numbers[1];
            largest = math::max(largest, next(h, context.numbers[0], totals[0]));
            s.inverse = 1 / (math::sqrt(largest) + h.eps);
        }
    };
    using passes = rule::Passes<Norm>;
};

}  // namespace adamcore

#pragma once

#include <cstddef>

#include "adamcore/average.hpp"
#include "adamcore/power.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// Schedule-free AdamW (Defazio et al. 2024, "The road less scheduled"). Between steps the parameter holds the points y
/// at which gradients are computed. The averages x of the points z, which are the result, follow from y and z.
struct ScheduleFreeAdamW {
    static constexpr auto name = "schedulefreeadamw";
    static constexpr auto slots =
        rule::slots(rule::unscaled("z").from_param().in_full(), rule::square("exp_avg_sq"),
                    rule::unscaled("lr_max").of_tensor(), rule::unscaled("weight_sum").of_tensor());

    struct Hyper {
        double lr = 0.0025, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0, warmup_steps = 0, r = 0.0,
               weight_lr_power = 2.0;
    };
    static constexpr auto fields =
        rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr),
                            rule::number("beta1", &Hyper::beta1, rule::Range::between_zero_and_one).in("betas", 0),
                            rule::beta("beta2", &Hyper::beta2, 1), rule::nonnegative("eps", &Hyper::eps),
                            rule::nonnegative("weight_decay", &Hyper::weight_decay),
                            rule::nonnegative("warmup_steps", &Hyper::warmup_steps), rule::nonnegative("r", &Hyper::r),
                            rule::nonnegative("weight_lr_power", &Hyper::weight_lr_power));

    static constexpr auto decays = rule::decays(&Hyper::beta2);

    ADAMCORE_FN static double initial(const Hyper&, std::size_t slot) { return slot == 2 ? -1 : 0; }

    /// `share` is the weight of the newest z in x, and `pull` what the direction is multiplied by in y. `root` is
    /// 1 / sqrt(1 - beta2^t). Points are computed in double and rounded once: they are far from zero, where steps are small.
    template <class T>
    struct Step {
        Average<T> second;
        T root, eps;
        double decay, rate, pull, share;
    };

    ADAMCORE_FN static double rate_of(const Hyper& h, std::int64_t t) {
        const auto step = static_cast<double>(t);
        return step < h.warmup_steps ? h.lr * (step / h.warmup_steps) : h.lr;
    }
    template <class T>
    ADAMCORE_FN static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context) {
        return {rate_of(h, context.t), context.corrections[0], h.eps};
    }

    /// The numbers of the tensor are the largest learning rate so far, and the sum of the weights of all z.
    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        const auto t = static_cast<double>(context.t);
        const double rate = rate_of(h, context.t);
        double &largest = context.numbers[0], &sum = context.numbers[1];
        largest = math::max(largest, rate);
        const double weight = power::pow(t, h.r) * power::pow(largest, h.weight_lr_power);
        sum += weight;
        const double share = sum == 0 ? 0 : weight / sum;
        return {make_average<T>(h.beta2, 1 - h.beta2),
                T(1 / math::sqrt(context.corrections[0])),
                T(h.eps),
                h.weight_decay,
                rate,
                rate * (1 - h.beta1 * (1 - share)),
                share};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& y, T& z, T& v) {
        const double point = y, newest = z, gradient = g;
        v = average_square(s.second, v, gradient);
        const double direction = T(g) / (math::sqrt(v) * s.root + s.eps) + s.decay * point;
        y = T(point + (s.share * (newest - point) - s.pull * direction));
        z = T(newest - s.rate * direction);
    }
};

}  // namespace adamcore

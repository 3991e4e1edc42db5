#pragma once

#include "adamcore/average.hpp"
#include "adamcore/power.hpp"
#include "adamcore/rule.hpp"

namespace adamcore {

/// The common part of Adafactor for matrices and for vectors.
namespace adafactor {

struct Hyper {
    double lr = 1e-2, beta2_decay = -0.8, eps1 = rule::none, eps2 = 1e-3, d = 1.0, weight_decay = 0.0;
};

inline constexpr auto fields = rule::fields<Hyper>(
    rule::nonnegative("lr", &Hyper::lr), rule::number("beta2_decay", &Hyper::beta2_decay, rule::Range::nonpositive),
    rule::nonnegative("eps1", &Hyper::eps1).in("eps", 0).or_none(),
    rule::nonnegative("eps2", &Hyper::eps2).in("eps", 1), rule::number("d", &Hyper::d, rule::Range::at_least_one),
    rule::nonnegative("weight_decay", &Hyper::weight_decay));

/// `least` is eps1, by which averages are bounded, and the square of which bounds their product. `rate` is complete once
/// the norms of the parameter and of the update are known.
template <class T>
struct Step {
    double keep, fresh, least;
    T floor, ceiling;  ///< of variances, and of the inverses of their roots
    T decay, rate;
    double relative_rate;
};

/// The square of a bound, which is not rounded to 0: updates divide by its root.
template <class T>
ADAMCORE_FN T floor_of(double least) {
    const T smallest = sizeof(T) == 8 ? T(0x1p-1074) : T(0x1p-149);
    return least > 0 ? math::max(T(least * least), smallest) : T(0);
}

template <class T>
ADAMCORE_FN Step<T> prepare(const Hyper& h, const rule::Context& context) {
    const auto t = static_cast<double>(context.t);
    const double fresh = power::pow(t, h.beta2_decay);
    const double least = rule::is_none(h.eps1) ? (sizeof(T) == 8 ? 0x1p-52 : 0x1p-23) : h.eps1;
    const double relative = math::min(h.lr, 1 / math::sqrt(t));
    // The inverse root of the least floor bounds the inverse, which would be infinite in T for a least number near 0.
    constexpr double most = sizeof(T) == 8 ? 0x1.6a09e667f3bccp+536 : 0x1.6a09e6p+74;
    const T ceiling = T(math::min(1 / least, most));
    const double decay = h.lr * h.weight_decay;
    return {1 - fresh, fresh, least, floor_of<T>(least), ceiling, T(decay), T(0), relative};
}

template <class T>
ADAMCORE_FN T direction(const Step<T>& s, T g, T variance) {
    return g / math::sqrt(math::max(variance, s.floor));
}

/// Makes the learning rate relative to the size of the parameter, and limits the size of the update, given their squares.
template <class T>
ADAMCORE_FN void finish(const Hyper& h, const rule::Context& context, const double* squares, Step<T>& s) {
    const auto size = static_cast<double>(context.size);
    const double weights = math::sqrt(squares[0] / size), update = math::sqrt(squares[1] / size);
    s.rate = T(s.relative_rate * math::max(h.eps2, weights) / math::max(1.0, update / h.d));
}

template <class T>
ADAMCORE_FN T moved(const Step<T>& s, T p, T direction) {
    return p - (s.decay * p + s.rate * direction);
}

}  // namespace adafactor

/// Adafactor for tensors with fewer than two axes: the second moment of each element.
struct AdafactorVector {
    static constexpr auto name = "adafactor_vector";
    static constexpr auto slots = rule::slots(rule::square("variance"));
    using Hyper = adafactor::Hyper;
    static constexpr auto fields = adafactor::fields;
    template <class T>
    using Step = adafactor::Step<T>;

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        return adafactor::prepare<T>(h, context);
    }
    /// Without the factors that depend on the sizes of the parameter and of the update.
    template <class T>
    ADAMCORE_FN static rule::SecondMoment describe_second(const Hyper& h, const rule::Context& context) {
        const Step<T> step = prepare<T>(h, context);
        return {step.relative_rate, 1, step.least};
    }

    struct Moment {
        static constexpr auto sums = rule::sums(rule::Over::tensor, rule::Over::tensor);
        static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0), writes = rule::slot(0);

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>& s, G g, const T& p, T& variance) {
            const double wide = g, weight = p;
            variance = T(s.keep * variance + s.fresh * (wide * wide));
            const double u = adafactor::direction(s, T(g), variance);
            return rule::terms(weight * weight, u * u);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            adafactor::finish(h, context, totals, s);
        }
    };
    using passes = rule::Passes<Moment>;

    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(0), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& variance) {
        p = adafactor::moved(s, p, adafactor::direction(s, T(g), variance));
    }
};

/// Adafactor (Shazeer & Stern 2018, "Adafactor: adaptive learning rates with sublinear memory cost"), as in PyTorch: the
/// second moment of a matrix is the product of averages over its rows and over its columns.
struct Adafactor {
    static constexpr auto name = "adafactor";
    static constexpr auto slots = rule::slots(rule::square("row_var").of_rows(), rule::square("col_var").of_columns());
    /// The inverse roots of row_var, divided by its mean, and of col_var. A product of two of them takes the place of a
    /// division and a root for each element, and does not underflow.
    static constexpr auto temporaries =
        rule::slots(rule::unscaled("row_scale").of_rows(), rule::unscaled("column_scale").of_columns());
    using Hyper = adafactor::Hyper;
    static constexpr auto fields = adafactor::fields;
    using for_vectors = AdafactorVector;
    template <class T>
    using Step = adafactor::Step<T>;

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        return adafactor::prepare<T>(h, context);
    }

    /// A NaN in a scale is kept.
    template <class T>
    ADAMCORE_FN static T direction(const Step<T>& s, T g, T row_scale, T column_scale) {
        return g * math::min(s.ceiling, row_scale * column_scale);
    }

    struct Moments {
        static constexpr auto sums = rule::sums(rule::Over::rows, rule::Over::columns);
        static constexpr unsigned reads = rule::grad, writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>&, G g, const T&, T&, T&, T&, T&) {
            const double wide = g;
            return rule::terms(wide * wide, wide * wide);
        }

        template <class T>
        ADAMCORE_FN static double row(const Step<T>& s, const rule::Context& context, const double* totals, T* row) {
            row[0] = T(s.keep * row[0] + s.fresh * (totals[0] / static_cast<double>(context.columns)));
            return row[0];
        }
        template <class T>
        ADAMCORE_FN static void spread(const Step<T>& s, const rule::Context& context, double total, T* row) {
            const double mean = math::max(total / static_cast<double>(context.rows), s.least);
            row[1] = T(1 / math::sqrt(row[0] / mean));
        }
        template <class T>
        ADAMCORE_FN static void column(const Step<T>& s, const rule::Context& context, const double* totals,
                                       T* column) {
            column[0] = T(s.keep * column[0] + s.fresh * (totals[0] / static_cast<double>(context.rows)));
            column[1] = T(1 / math::sqrt(static_cast<double>(column[0])));
        }
    };

    /// Sums the squares of the weights and of the update.
    struct Sizes {
        static constexpr auto sums = rule::sums(rule::Over::tensor, rule::Over::tensor);
        static constexpr unsigned reads = rule::param | rule::grad | rule::slot(2) | rule::slot(3), writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>& s, G g, const T& p, T&, T&, T& row, T& column) {
            const double weight = p, u = direction(s, T(g), row, column);
            return rule::terms(weight * weight, u * u);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            adafactor::finish(h, context, totals, s);
        }
    };
    using passes = rule::Passes<Moments, Sizes>;

    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(2) | rule::slot(3), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T&, T&, T& row, T& column) {
        p = adafactor::moved(s, p, direction(s, T(g), row, column));
    }
};

}  // namespace adamcore

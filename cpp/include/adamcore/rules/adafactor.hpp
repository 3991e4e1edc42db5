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
    T floor, decay, rate;
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
    return {1 - fresh, fresh, least, floor_of<T>(least), T(h.lr * h.weight_decay), T(0), relative};
}

template <class T>
ADAMCORE_FN T direction(const Step<T>& s, T g, T variance) {
    return g / math::sqrt(math::max(variance, s.floor));
}

/// The learning rate relative to the size of the parameter.
template <class T>
ADAMCORE_FN void scale_to_param(const Hyper& h, const rule::Context& context, double squares, Step<T>& s) {
    s.relative_rate *= math::max(h.eps2, math::sqrt(squares / static_cast<double>(context.size)));
}

/// Limits the size of the update.
template <class T>
ADAMCORE_FN void limit_update(const Hyper& h, const rule::Context& context, double squares, Step<T>& s) {
    const double size = math::sqrt(squares / static_cast<double>(context.size));
    s.rate = T(s.relative_rate / math::max(1.0, size / h.d));
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
            adafactor::scale_to_param(h, context, totals[0], s);
            adafactor::limit_update(h, context, totals[1], s);
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
    /// row_var divided by its mean, so that a product with col_var does not underflow.
    static constexpr auto temporaries = rule::slots(rule::unscaled("row_ratio").of_rows());
    using Hyper = adafactor::Hyper;
    static constexpr auto fields = adafactor::fields;
    using for_vectors = AdafactorVector;
    template <class T>
    using Step = adafactor::Step<T>;

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        return adafactor::prepare<T>(h, context);
    }

    struct ParamSize {
        static constexpr auto sums = rule::sums(rule::Over::tensor);
        static constexpr unsigned reads = rule::param, writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>&, G, const T& p, T&, T&, T&) {
            const double weight = p;
            return rule::terms(weight * weight);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            adafactor::scale_to_param(h, context, totals[0], s);
        }
    };

    struct Moments {
        static constexpr auto sums = rule::sums(rule::Over::rows, rule::Over::columns);
        static constexpr unsigned reads = rule::grad, writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<2> visit(const Step<T>&, G g, const T&, T&, T&, T&) {
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
            row[1] = T(row[0] / math::max(total / static_cast<double>(context.rows), s.least));
        }
        template <class T>
        ADAMCORE_FN static void column(const Step<T>& s, const rule::Context& context, const double* totals,
                                       T* column) {
            column[0] = T(s.keep * column[0] + s.fresh * (totals[0] / static_cast<double>(context.rows)));
        }
    };

    struct UpdateSize {
        static constexpr auto sums = rule::sums(rule::Over::tensor);
        static constexpr unsigned reads = rule::grad | rule::slot(1) | rule::slot(2), writes = 0;

        template <class T, class G>
        ADAMCORE_FN static rule::Terms<1> visit(const Step<T>& s, G g, const T&, T&, T& column, T& row_ratio) {
            const double u = adafactor::direction(s, T(g), row_ratio * column);
            return rule::terms(u * u);
        }

        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            adafactor::limit_update(h, context, totals[0], s);
        }
    };
    using passes = rule::Passes<ParamSize, Moments, UpdateSize>;

    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(1) | rule::slot(2), writes = rule::param;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T&, T& column, T& row_ratio) {
        p = adafactor::moved(s, p, adafactor::direction(s, T(g), row_ratio * column));
    }
};

}  // namespace adamcore

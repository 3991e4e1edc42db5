#pragma once

#include "adamcore/adamcore.hpp"

namespace adamcore::test {

/// A rule of a program's own, with slots of every shape, sums of every kind, an L2 term, and numbers.
struct OwnRule {
    static constexpr auto name = "own";
    static constexpr auto slots =
        rule::slots(rule::square("seen").of_tensor(), "average", rule::square("row").of_rows(),
                    rule::square("column").of_columns(), rule::unscaled("start").in_full(), "count");
    static constexpr auto temporaries =
        rule::slots(rule::unscaled("column_ratio").of_columns(), rule::unscaled("row_ratio").of_rows());
    static constexpr auto numbers = rule::named_numbers("size");

    struct Hyper {
        double lr = 0.1, beta = 0.75, weight_decay = 0.05;
    };
    static constexpr auto fields =
        rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr), rule::below_one("beta", &Hyper::beta),
                            rule::nonnegative("weight_decay", &Hyper::weight_decay));
    static constexpr auto common = rule::members(&Hyper::beta);
    static constexpr auto common_or_zero = rule::members(&Hyper::lr);
    static constexpr auto decays = rule::decays(&Hyper::beta);
    ADAMCORE_FN static double first_number(const Hyper&, std::size_t) { return 1.5; }
    ADAMCORE_FN static bool takes_part(const Hyper& h) { return h.lr != 0; }

    template <class T>
    struct Step {
        T lr, keep, fresh, ratio, size;
        double l2;
    };
    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, const rule::Context& context) {
        context.numbers[0] += 1;
        return {T(h.lr / context.corrections[0]), T(h.beta), T(1 - h.beta), T(1), T(context.shared[0]), h.weight_decay};
    }

    /// Changes state whose rounding is random, and sums over rows, then columns, then rows.
    struct Lines {
        static constexpr auto sums = rule::sums(rule::Over::rows, rule::Over::columns, rule::Over::rows);
        static constexpr unsigned reads = rule::grad | rule::slot(1), writes = rule::slot(1);
        template <class T, class G>
        ADAMCORE_FN static rule::Terms<3> visit(const Step<T>& s, G g, const T&, T& average, T&, T&, T&, T&, T&, T&) {
            average = T(s.keep * average + s.fresh * g);
            const double wide = g, mean = average;
            return rule::terms(wide * wide, mean * mean, mean);
        }
        template <class T>
        ADAMCORE_FN static double row(const Step<T>& s, const rule::Context& context, const double* totals, T* row) {
            row[0] = T(s.keep * row[0] + s.fresh * (totals[0] / static_cast<double>(context.columns)));
            return totals[1] + static_cast<double>(row[0]);
        }
        template <class T>
        ADAMCORE_FN static void spread(const Step<T>&, const rule::Context& context, double total, T* row) {
            row[1] = T(static_cast<double>(row[0]) - total / static_cast<double>(context.size));
        }
        template <class T>
        ADAMCORE_FN static void column(const Step<T>& s, const rule::Context&, const double* totals, T* column) {
            column[0] = T(s.keep * column[0] + s.fresh * totals[0]);
            column[1] = column[0] + T(1);
        }
    };
    struct Sizes {
        static constexpr auto sums =
            rule::sums(rule::Over::tensor, rule::Over::all, rule::Over::tensor, rule::Over::all);
        static constexpr unsigned reads = rule::param | rule::grad | rule::slot(4) | rule::slot(5) | rule::slot(6),
                                  writes = rule::slot(5);
        template <class T, class G>
        ADAMCORE_FN static rule::Terms<4> visit(const Step<T>& s, G g, const T& p, T&, T&, T&, T& start, T& count,
                                                T& column_ratio, T&) {
            count = count + s.fresh;
            const double moved = static_cast<double>(p) - static_cast<double>(start), ratio = column_ratio;
            return rule::terms(moved * moved, static_cast<double>(g) * moved, ratio, count);
        }
        ADAMCORE_FN static bool decide(const Hyper& h, const double* totals, double* shared) {
            shared[0] = h.beta * shared[0] + totals[1] / (1 + totals[3]);
            return shared[0] == shared[0];
        }
        template <class T>
        ADAMCORE_FN static void conclude(const Hyper& h, const rule::Context& context, const double* totals,
                                         Step<T>& s) {
            context.numbers[0] = h.beta * context.numbers[0] + totals[0];
            s.ratio = T(1 / (1 + math::sqrt(context.numbers[0]) + totals[1] * totals[1] + totals[2]));
            s.size = T(context.shared[0]);
        }
    };
    using passes = rule::Passes<Lines, Sizes>;

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p, T& average, T&, T& column, T& start, T& count,
                                   T& column_ratio, T& row_ratio) {
        const T step = T(g) * row_ratio + average * column / column_ratio + s.size * count;
        start = start * s.keep;
        p = p - s.lr * s.ratio * step;
    }
    static constexpr unsigned reads = rule::param | rule::grad | rule::slot(1) | rule::slot(3) | rule::slot(4) |
                                      rule::slot(5) | rule::slot(6) | rule::slot(7),
                              writes = rule::param | rule::slot(4);
};

}  // namespace adamcore::test

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "adamcore/bias.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/rule/make_info.hpp"
#include "adamcore/rules/all.hpp"

/// What the engine's kernels took from the library's headers when the experiments were made, and has changed there since.
namespace adamcore::experiments::before {

/// Its Step had room for an L2 term, which AdamW never has, and kernels a path for that.
struct AdamW : adamcore::AdamW {
    template <class T>
    struct Step : adamcore::AdamW::Step<T> {
        double l2;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t t, const adam::Corrections& corrections) {
        return {adamcore::AdamW::prepare<T>(h, t, corrections), 0};
    }
};

/// 1 - beta^t, which looked for the first bit of `t` one by one and left no power out.
ADAMCORE_FN double correction(double beta, std::int64_t t) {
    DoubleDouble power{1.0, 0.0};
    int bit = 62;
    while (bit >= 0 && ((t >> bit) & 1) == 0) --bit;
    for (; bit >= 0; --bit) {
        power = double_double::multiply(power, power);
        if ((t >> bit) & 1) power = double_double::multiply(power, {beta, 0.0});
    }
    return (1.0 - power.high) - power.low;
}

/// x * 2^power.
ADAMCORE_CALL double scaled(double x, std::int32_t power) { return std::ldexp(x, power); }

ADAMCORE_CALL double root(norm::Squares squares, double scale) {
    return scaled(math::sqrt(squares.sum) * scale, norm::Squares::shift * squares.power);
}

/// Its scale and its result were doubles. A norm beyond their range was divided by 2^540, as was `limit`.
ADAMCORE_CALL double clip_factor(norm::Squares squares, double scale, double limit) {
    if (!norm::is_finite(squares)) return 1;
    double most = limit, length = root(squares, scale) + 1e-6;
    if (length - length != 0) {
        most = scaled(limit, -norm::Squares::shift);
        length = root({squares.sum, squares.power - 1}, scale);
    }
    return std::fmin(1.0, most / length);
}

template <class Rule, class T>
ADAMCORE_FN void prepare_in(const HyperValues& values, std::int64_t t, StepStorage& out) {
    using Step = typename Rule::template Step<T>;
    const auto hyper = adamcore::detail::hyper_of<Rule>(values);
    constexpr int decays = rule::decay_count<Rule>;
    double corrections[decays + 1];
    for (int k = 0; k < decays; ++k) corrections[k] = correction(rule::decay_of<Rule>(hyper, k), t);
    rule::Context context;
    context.t = t;
    context.begins = t == 1;
    context.corrections = corrections;
    new (out.bytes) Step(rule::prepare_with<Rule, T>(hyper, context));
}

template <class Rule>
ADAMCORE_FN void prepare_as(const HyperValues& values, std::int64_t t, Dtype dtype, StepStorage& out) {
    using Then = std::conditional_t<std::is_same_v<Rule, adamcore::AdamW>, AdamW, Rule>;
    dtype == Dtype::float64 ? prepare_in<Then, double>(values, t, out) : prepare_in<Then, float>(values, t, out);
}

/// Of a rule by its place in a list: one kernel for all.
template <class... Rules>
ADAMCORE_FN void prepare_by_place(rule::List<Rules...>, std::size_t place, const HyperValues& values, std::int64_t t,
                                  Dtype dtype, StepStorage& out) {
    std::size_t next = 0;
    ((next++ == place ? prepare_as<Rules>(values, t, dtype, out) : void()), ...);
}

}  // namespace adamcore::experiments::before

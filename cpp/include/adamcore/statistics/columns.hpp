#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/math.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/rule/pass.hpp"
#include "adamcore/scale.hpp"

/// What a step can tell of itself: sums over each tensor, in the shape of all sums (sums.hpp), and what follows from them.
namespace adamcore::statistics {

/// What is summed, as bits.
enum Part : unsigned {
    squares = 1,    ///< of gradients
    extremes = 2,   ///< the largest gradient, and gradients that are 0
    agreement = 4,  ///< of gradients with the first moment before the step
    weights = 8,    ///< squares of weights and of their changes
    losses = 16,    ///< changes that the stored parameter does not show
    seconds = 32,   ///< second moments after the step
    all_parts = 63,
    of_gradients = squares | extremes,
};

/// The sums over a leaf, or over a tensor. Gradients are as they are stored: neither unscaled nor clipped.
struct Sums {
    norm::Squares grads;
    double weights = 0, updates = 0;
    double products = 0, firsts = 0;  ///< of first moments with gradients, and their squares
    double seconds = 0;
    double largest = 0;  ///< the largest magnitude of a gradient that is not NaN
    std::int64_t zeros = 0, lost = 0, below = 0;
};

ADAMCORE_FN Sums operator+(const Sums& a, const Sums& b) {
    return {a.grads + b.grads,   a.weights + b.weights, a.updates + b.updates,           a.products + b.products,
            a.firsts + b.firsts, a.seconds + b.seconds, math::max(a.largest, b.largest), a.zeros + b.zeros,
            a.lost + b.lost,     a.below + b.below};
}

/// What users see, in this order.
enum Column : std::size_t {
    grad_rms,
    param_rms,
    update_rms,
    ratio,
    grad_max,
    zero,
    lost,
    cosine,
    second_rms,
    effective_lr,
    floor_share,
};
inline constexpr const char* column_names[] = {"grad_rms",   "param_rms",    "update_rms", "ratio",
                                               "grad_max",   "zero",         "lost",       "cos",
                                               "second_rms", "effective_lr", "floor"};
inline constexpr std::size_t column_count = sizeof column_names / sizeof column_names[0];
inline constexpr unsigned all_columns = (1u << column_count) - 1;

/// The parts that columns, as bits, follow from. (A sum of squares tells whether a gradient is NaN.)
constexpr unsigned parts_of(unsigned columns) {
    constexpr unsigned of_column[] = {
        squares, weights, weights, weights, squares | extremes, extremes, losses, squares | agreement,
        seconds, seconds, seconds};
    static_assert(sizeof of_column / sizeof of_column[0] == column_count);
    unsigned parts = 0;
    for (std::size_t column = 0; column < column_count; ++column)
        parts |= (columns >> column & 1) != 0 ? of_column[column] : 0;
    return parts;
}

/// What else is known of a tensor.
struct Facts {
    std::int64_t size = 0;
    Scale unscaling{};  ///< by what gradients are multiplied before they are clipped
    bool is_negated = false, is_updated = false, has_first = false, has_second = false;
    rule::SecondMoment second{};
};

/// The second moment below which the root, with its bias corrected, is less than ten times eps.
ADAMCORE_FN double floor_of(const rule::SecondMoment& second) {
    const double root = 10 * second.eps;
    return root * root * second.correction;
}

/// Writes all columns of a tensor, `stride` numbers apart. What it does not have is NaN.
inline void write_columns(const Sums& sums, const Facts& facts, double* columns, std::size_t stride) {
    const double nothing = __builtin_nan("");
    for (std::size_t column = 0; column < column_count; ++column) columns[column * stride] = nothing;
    if (facts.size == 0) return;
    const auto set = [&](Column column, double value) { columns[column * stride] = value; };
    const auto count = static_cast<double>(facts.size);
    set(grad_rms, norm::root(sums.grads, facts.unscaling) / math::sqrt(count));  // the norm's own bits, divided
    const bool is_number = sums.grads.sum == sums.grads.sum;
    set(grad_max, is_number ? scale::value(scale::product(sums.largest, facts.unscaling)) : nothing);
    set(zero, static_cast<double>(sums.zeros) / count);
    if (!facts.is_updated) return;
    const double weight = math::sqrt(sums.weights / count), update = math::sqrt(sums.updates / count);
    set(param_rms, weight);
    set(update_rms, update);
    set(ratio, update / weight);
    set(lost, static_cast<double>(sums.lost) / count);
    if (facts.has_first) {
        const double both = math::sqrt(sums.firsts) * norm::root(sums.grads);
        set(cosine, (facts.is_negated ? -sums.products : sums.products) / both);
    }
    if (!facts.has_second) return;
    const double second = math::sqrt(sums.seconds / count / facts.second.correction);
    set(second_rms, second);
    set(effective_lr, facts.second.rate / (second + facts.second.eps));
    set(floor_share, static_cast<double>(sums.below) / count);
}

}  // namespace adamcore::statistics

#pragma once

#include <cstdint>

#include "adamcore/rule.hpp"

/// Cautious updates (Liang et al. 2024, "Cautious optimizers: improving training with one line of code"): only those
/// elements move whose direction agrees with the gradient, and they move further, by the inverse of their share.
namespace adamcore::cautious {

/// Whether a step along -direction reduces what the gradient belongs to.
template <class T, class G>
ADAMCORE_FN bool agrees(T direction, G g) {
    return math::select(direction > 0, T(g), math::select(direction < 0, -T(g), T(0))) > 0;
}

/// Sums the elements that agree.
inline constexpr auto sums = rule::sums(rule::Over::tensor);

template <class T, class G>
ADAMCORE_FN rule::Terms<1> count(T direction, G g) {
    return rule::terms(math::select(agrees(direction, g), 1.0, 0.0));
}

/// By what a rate is divided, given how many elements agree.
ADAMCORE_FN double share(const rule::Context& context, double count) {
    return math::max(1e-3, count / static_cast<double>(context.size));
}

}  // namespace adamcore::cautious

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/math.hpp"

namespace adamcore {

/// An average of weights that goes on with each step: which steps it follows, and how far it moves then.
struct WeightAverage {
    /// Of all weights with weights that fall exponentially; of equal weights; or slow weights, to which the others
    /// return (Lookahead).
    enum class Kind : std::uint8_t { exponential, mean, slow };

    Kind kind = Kind::exponential;
    double decay = 0.999;  ///< of an exponential average
    bool warms_up = true;  ///< whether its first decays are smaller: (1 + n) / (10 + n)
    double alpha = 0.5;    ///< the share of their way that slow weights go
    std::int64_t every = 1;
    std::int64_t start = 0;  ///< of a mean: the number of completed steps with the first weights that it has

    /// What has happened so far.
    struct Progress {
        std::int64_t steps = 0;     ///< that were not skipped since the average began
        std::int64_t averaged = 0;  ///< of them, those after which it has moved
    };

    /// Counts a step after which there are `completed` ones. Returns the share of its way to the weights that the average
    /// goes, 0 if it stays.
    ADAMCORE_FN double advance(Progress& progress, std::int64_t completed) const noexcept {
        const std::int64_t n = ++progress.steps;
        const std::int64_t passed = kind == Kind::mean ? completed - start : n;
        if (passed < 0 || passed % every != 0) return 0;
        ++progress.averaged;
        if (kind == Kind::slow) return alpha;
        if (kind == Kind::mean) return 1 / static_cast<double>(progress.averaged);
        const auto t = static_cast<double>(n);
        return 1 - (warms_up ? math::min(decay, (1 + t) / (10 + t)) : decay);
    }
};

}  // namespace adamcore

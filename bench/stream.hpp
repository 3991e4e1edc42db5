#pragma once

#include <cstdint>

#include "adamcore/math.hpp"

/// The yardstick: an update's traffic and nothing else.
namespace adamcore::bench {

/// A word of any array. Integers, so that what one pass adds the next takes away to the bit, and the update that is
/// measured in between always meets the same values.
using Word = std::uint32_t __attribute__((may_alias));

/// Reads the gradient and every array of `written`, and writes the latter in place: one pass adds, the next subtracts.
template <class... Written>
void stream(bool add, std::int64_t count, const Word* ADAMCORE_RESTRICT grad,
            Written* ADAMCORE_RESTRICT... written) noexcept {
    if (add) {
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) ((written[i] += grad[i]), ...);
    } else {
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) ((written[i] -= grad[i]), ...);
    }
}

}  // namespace adamcore::bench

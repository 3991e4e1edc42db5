#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gate/view.hpp"

namespace adamcore::python {

/// What of memory an array touches that does not touch all between its first byte and its last. Signs of strides, axes
/// of length 1 and axes that repeat memory are gone: they change no byte.
struct Gaps {
    struct Axis {
        std::uint64_t length, stride;
    };

    std::uint64_t item = 0;  ///< bytes that lie together at least
    std::vector<Axis> axes;  ///< that repeat these, the shortest stride first

    /// All lies within `rows` runs of `run` bytes, whose begins are `stride` apart; `is_full` says that these are
    /// touched throughout. One row stands for what has no such form.
    std::uint64_t stride = 0, run = 0, rows = 1;
    bool is_full = true;
};

/// The memory of one array.
struct Region {
    std::uintptr_t begin = 0, end = 0;  ///< from the first byte that it touches to after the last
    std::int64_t tensor = -1;           ///< whose it is, or -1 for the optimizer's state
    std::shared_ptr<const Gaps> gaps;   ///< null where it touches all between
};

/// What `view` touches.
Region region_of(const ArrayView& view, std::int64_t tensor);

/// Whether two regions share memory. Exact; where that would take NumPy's solver too long, the answer is yes.
bool share_memory(const Region& a, const Region& b);

}  // namespace adamcore::python

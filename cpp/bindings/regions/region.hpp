#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gate/view.hpp"

namespace adamcore::python {

/// The bytes touched by an array that has gaps between its first and its last byte. Signs of strides, axes of length 1
/// and axes that repeat memory are removed, because they do not change which bytes are touched.
struct Gaps {
    struct Axis {
        std::uint64_t length, stride;
    };

    std::uint64_t item = 0;  ///< the number of contiguous bytes, at least
    std::vector<Axis> axes;  ///< the axes that repeat these bytes, the shortest stride first

    /// All bytes are in `rows` runs of `run` bytes that start `stride` bytes apart. `is_full` means that every byte of
    /// these runs is touched. `rows` is 1 if the array does not have this form.
    std::uint64_t stride = 0, run = 0, rows = 1;
    bool is_full = true;
};

/// The memory of one array.
struct Region {
    std::uintptr_t begin = 0, end = 0;  ///< from the first byte that it touches to after the last
    std::int64_t tensor = -1;           ///< the tensor, or -1 for the optimizer's state
    std::shared_ptr<const Gaps> gaps;   ///< null if it touches all bytes in between
};

/// The memory that `view` touches.
Region region_of(const ArrayView& view, std::int64_t tensor);

/// Whether two regions share memory. The answer is exact, unless NumPy's solver would take too long; then it is yes.
bool share_memory(const Region& a, const Region& b);

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "regions/regions.hpp"
#include "state/layout.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// A block of memory that has state arrays of one group.
struct StateBlock {
    py::object keeper;  ///< owns the memory; null if there is none
    std::uintptr_t address = 0;
    std::size_t size = 0;

    /// Whether an array that has elements is in it. Another block may begin right behind it.
    bool contains(const void* data) const {
        const auto at = reinterpret_cast<std::uintptr_t>(data);
        return keeper && at >= address && at - address < size;
    }
};

/// What the optimizer's state will consist of. It is prepared first, while the optimizer still is as before, and then
/// committed, which cannot fail.
struct StateChange {
    std::vector<KeptSlots> kept;                               ///< by cohort
    std::vector<SlotArrays> arrays;                            ///< by parameter, in the order of its cohort's slots
    std::vector<std::pair<std::size_t, StateBlock>> blocks{};  ///< new memory, and the group that gets it
    Regions::Addition regions{};
};

/// State that is read as one dtype and written as another.
struct Conversion {
    void* to;
    const void* from;
    std::int64_t size;
    Dtype to_dtype, from_dtype;
};

/// Tensors of one rule whose state gets initial values. `tensors` have the arrays. Slots from `fresh` on have been
/// in use before.
struct Started {
    std::vector<Tensor> tensors;
    std::vector<Initial> initials;
    std::size_t fresh;
};

/// State arrays of one degree, and what they are multiplied by.
struct Rescaling {
    struct Array {
        void* data;
        Dtype dtype;
        std::int64_t size;
    };
    std::uint8_t degree;
    double factor;
    std::vector<Array> arrays;
};

}  // namespace adamcore::python

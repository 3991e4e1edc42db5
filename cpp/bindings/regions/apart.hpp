#pragma once

#include <cstddef>
#include <cstdint>

namespace adamcore::python {

/// The bytes of one dense array, at least one.
struct Extent {
    std::uintptr_t begin = 0, end = 0;
    const void* owner = nullptr;  ///< as owner_of() says
    bool is_written = false;
};

/// Whether no extent that is written shares memory with another one. It is exact, and takes O(n log n); arrays that own
/// their memory take O(n).
bool are_apart(const Extent* extents, std::size_t count);

}  // namespace adamcore::python

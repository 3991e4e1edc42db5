#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace adamcore::python {

/// Reserves space for `more` elements, so that adding them cannot fail. It grows by factors: n calls take O(n) time.
template <class T>
void make_room(std::vector<T>& elements, std::size_t more) {
    const std::size_t needed = elements.size() + more;
    if (needed > elements.capacity()) elements.reserve(std::max(needed, 2 * elements.capacity()));
}

}  // namespace adamcore::python

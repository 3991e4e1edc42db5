#include "regions/apart.hpp"

#include <algorithm>
#include <vector>

namespace adamcore::python {
namespace {

/// With so few extents, comparing all pairs is fastest.
constexpr std::size_t few = 8;

bool overlap(const Extent& a, const Extent& b) { return a.begin < b.end && b.begin < a.end; }

bool are_pairs_apart(const Extent* extents, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < i; ++k) {
            if ((extents[i].is_written || extents[k].is_written) && overlap(extents[i], extents[k])) return false;
        }
    }
    return true;
}

/// A set of pointers with room for `count` of them.
class Pointers {
public:
    explicit Pointers(std::size_t count) {
        std::size_t size = 16;
        while (size < 2 * count) size *= 2;
        places_.resize(size);
    }

    /// Returns false if it is there already.
    bool add(const void* pointer) {
        const void*& place = place_of(pointer);
        if (place == pointer) return false;
        place = pointer;
        return true;
    }

    bool has(const void* pointer) { return place_of(pointer) == pointer; }

private:
    /// Its place, or the free one where it belongs.
    const void*& place_of(const void* pointer) {
        const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer)) * 0x9E3779B97F4A7C15u;
        const std::size_t last = places_.size() - 1;
        std::size_t at = static_cast<std::size_t>(bits >> 32) & last;
        while (places_[at] && places_[at] != pointer) at = (at + 1) & last;
        return places_[at];
    }

    std::vector<const void*> places_;
};

/// Whether every extent that is written has an owner of its own: the memory of one array object is disjoint from that of
/// any other. False means that this is not known.
bool have_owners_of_their_own(const Extent* extents, std::size_t count) {
    Pointers owners(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!extents[i].owner || (extents[i].is_written && !owners.add(extents[i].owner))) return false;
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (!extents[i].is_written && owners.has(extents[i].owner)) return false;
    }
    return true;
}

bool are_sorted_apart(const Extent* extents, std::size_t count) {
    std::vector<Extent> written;
    std::copy_if(extents, extents + count, std::back_inserter(written),
                 [](const Extent& one) { return one.is_written; });
    std::sort(written.begin(), written.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < written.size(); ++i) {
        if (written[i - 1].end > written[i].begin) return false;
    }
    return std::none_of(extents, extents + count, [&](const Extent& one) {
        if (one.is_written) return false;
        const auto next = std::lower_bound(written.begin(), written.end(), one.end,
                                           [](const Extent& a, std::uintptr_t end) { return a.begin < end; });
        return next != written.begin() && std::prev(next)->end > one.begin;
    });
}

}  // namespace

bool are_apart(const Extent* extents, std::size_t count) {
    if (count <= few) return are_pairs_apart(extents, count);
    return have_owners_of_their_own(extents, count) || are_sorted_apart(extents, count);
}

}  // namespace adamcore::python

#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace adamcore::python {

/// The memory that an optimizer writes, so that what it reads can be held apart from it.
class Regions {
public:
    struct Region {
        std::uintptr_t begin, end;
        std::int64_t tensor;  ///< whose parameter it is, or -1 for state
    };

    /// Adds `bytes` from `data`; `owner` is what owner_of() says of the array. Empty regions overlap nothing.
    void add(const void* data, std::int64_t bytes, const void* owner, std::int64_t tensor);

    /// To be called after adding and before any question.
    void sort();

    /// Two regions that share memory, if any do.
    std::optional<std::pair<Region, Region>> find_overlap() const;

    /// The region that shares memory with this array, if one does.
    std::optional<Region> find_overlap(const void* data, std::int64_t bytes, const void* owner) const;

    /// Whether memory that `owner` owns is known to be apart from all regions: what one array object owns is disjoint
    /// from what any other does. False says nothing.
    bool is_plainly_apart(const void* owner) const noexcept { return foreign_.empty() && !is_owner(owner); }

private:
    bool is_owner(const void* owner) const noexcept;
    static std::optional<Region> search(const std::vector<Region>& sorted, std::uintptr_t begin, std::uintptr_t end);

    std::vector<Region> all_, foreign_;     // foreign: memory that no array object owns
    std::vector<const void*> owners_;       // sorted
    std::vector<std::uint64_t> filter_{0};  // a bit for each owner's hash: most that are none are told at once
};

}  // namespace adamcore::python

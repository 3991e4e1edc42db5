#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "view.hpp"

namespace adamcore::python {

/// The memory that is written, so that what is read, and what else is written, can be held apart from it.
class Regions {
public:
    /// From the first byte that an array touches to after the last. A strided one does not touch all between.
    struct Region {
        std::uintptr_t begin = 0, end = 0;
        std::int64_t tensor = -1;   ///< whose it is, or -1 for the optimizer's state
        PyObject* array = nullptr;  ///< where the region has gaps: the array, borrowed
    };

    /// What `view` of `array` touches.
    static Region region_of(const ArrayView& view, py::handle array, std::int64_t tensor);

    /// Adds a region; `owner` is what owner_of() says of the array. Empty regions overlap nothing.
    void add(const Region& region, const void* owner);

    /// To be called after adding and before any question.
    void sort();

    /// Two regions that share memory, if any do.
    std::optional<std::pair<Region, Region>> find_overlap() const;

    /// Raises ValueError if two of them do; `label(tensor)` is what users call a tensor's array.
    void require_apart(const std::function<std::string(std::int64_t)>& label) const;

    /// A region that shares memory with this one, if any does.
    std::optional<Region> find_overlap(const Region& region, const void* owner) const;

    /// Whether memory that `owner` owns is known to be apart from all regions: what one array object owns is disjoint
    /// from what any other does. False says nothing.
    bool is_plainly_apart(const void* owner) const noexcept { return foreign_.empty() && !is_owner(owner); }

private:
    bool is_owner(const void* owner) const noexcept;
    std::optional<Region> search(const std::vector<Region>& sorted, const Region& region) const;

    std::vector<Region> all_, foreign_;     // foreign: memory that no array object owns
    std::uintptr_t longest_ = 0;            // of all regions
    bool has_gaps_ = false;                 // whether any region has gaps
    std::vector<const void*> owners_;       // sorted
    std::vector<std::uint64_t> filter_{0};  // a bit for each owner's hash: most that are none are told at once
};

}  // namespace adamcore::python

#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "regions/region.hpp"

namespace adamcore::python {

/// The memory that is written, so that what is read, and what else is written, can be held apart from it.
///
/// Regions are added all or none, in two moves: check() may fail and leaves everything as it was, commit() cannot. Adding
/// one to n others takes O(log n), interleaved ones included.
class Regions {
    class Index;
    struct Entry;

public:
    using Region = python::Region;
    using Overlap = std::pair<Region, Region>;
    using Label = std::function<std::string(std::int64_t)>;

    /// Regions that are to be added. To be gone before the Regions that it has been checked against.
    class Addition {
    public:
        Addition();
        Addition(Addition&& other) noexcept;
        Addition& operator=(Addition&& other) noexcept;
        ~Addition();

        /// Adds a region; `owner` is what owner_of() says of the array. Empty regions overlap nothing.
        void add(const Region& region, const void* owner);

    private:
        friend class Regions;
        std::list<Entry> entries_;
        Index* index_ = nullptr;  ///< where they have been put, to be taken out again unless they are committed
    };

    Regions();
    Regions(Regions&& other) noexcept;
    Regions& operator=(Regions&& other) noexcept;
    ~Regions();

    /// Two regions that share memory, of which one at least is of `added`, if any do. To be called, or check(), before
    /// commit(), and again if something has been added to `added` since.
    std::optional<Overlap> find_overlap(Addition& added);

    /// Raises ValueError if there are two; `label(tensor)` is what users call a tensor's array.
    void check(Addition& added, const Label& label);

    /// Adds what has been checked. Nothing can fail.
    void commit(Addition&& added) noexcept;

    /// Forgets them all.
    void clear() noexcept;

    /// A region that shares memory with this one, if any does.
    std::optional<Region> find_overlap(const Region& region, const void* owner) const;

    /// Whether memory that `owner` owns is known to be apart from all regions: what one array object owns is disjoint
    /// from what any other does. False says nothing.
    bool is_plainly_apart(const void* owner) const noexcept;

private:
    std::unique_ptr<Index> index_;
};

}  // namespace adamcore::python

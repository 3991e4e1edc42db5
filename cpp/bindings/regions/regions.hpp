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

/// The memory regions that an optimizer writes, used to detect other arrays that overlap them.
///
/// Regions are added in two phases, all or none: check() may throw and changes nothing, and commit() cannot fail.
/// Adding one to n others takes O(log n), even if they are interleaved.
class Regions {
    class Index;
    struct Entry;

public:
    using Region = python::Region;
    using Overlap = std::pair<Region, Region>;
    using Label = std::function<std::string(std::int64_t)>;

    /// Regions to be added. It must be destroyed before the Regions object that it was checked against.
    class Addition {
    public:
        Addition();
        Addition(Addition&& other) noexcept;
        Addition& operator=(Addition&& other) noexcept;
        ~Addition();

        /// Adds a region. `owner` is the result of owner_of() for the array. Empty regions overlap nothing.
        void add(const Region& region, const void* owner);

    private:
        friend class Regions;
        std::list<Entry> entries_;
        Index* index_ = nullptr;  ///< the index that contains them; they are removed again unless committed
    };

    Regions();
    Regions(Regions&& other) noexcept;
    Regions& operator=(Regions&& other) noexcept;
    ~Regions();

    /// Two regions that share memory, at least one of which is from `added`, if there are any. Call this or check()
    /// before commit(), and again if regions have been added to `added` since.
    std::optional<Overlap> find_overlap(Addition& added);

    /// Raises ValueError if two regions overlap. `label(tensor)` is the user's name of a tensor's array.
    void check(Addition& added, const Label& label);

    /// Adds the checked regions. Cannot fail.
    void commit(Addition&& added) noexcept;

    /// Removes all regions.
    void clear() noexcept;

    /// A region that shares memory with this one, if there is one.
    std::optional<Region> find_overlap(const Region& region, const void* owner) const;

    /// Whether the memory of `owner` is known to be disjoint from all regions, because the memory of one array object
    /// is disjoint from that of any other. False means that this is not known.
    bool is_plainly_apart(const void* owner) const noexcept;

    /// Whether these bytes are known to be disjoint from all regions. False means that this is not known. Several
    /// threads may call it.
    bool is_plainly_apart(std::uintptr_t begin, std::uintptr_t end) const noexcept;

private:
    std::unique_ptr<Index> index_;
};

}  // namespace adamcore::python

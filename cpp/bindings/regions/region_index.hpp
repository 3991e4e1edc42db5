#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "regions/lattice.hpp"
#include "regions/regions.hpp"

namespace adamcore::python {

/// The owners of memory, with a bit filter over their hashes that rejects almost all other pointers immediately.
class Owners {
public:
    void add(const void* owner) {
        if (filter_bits_per_owner * (counts_.size() + 1) > 64 * filter_.size()) grow();
        ++counts_[owner];
        set_bit(owner);
    }

    void remove(const void* owner) noexcept {
        const auto found = counts_.find(owner);
        if (--found->second == 0) counts_.erase(found);
    }

    bool has(const void* owner) const noexcept {
        const auto [word, bit] = place_of(owner);
        return (filter_[word] & bit) != 0 && counts_.find(owner) != counts_.end();
    }

private:
    static constexpr std::size_t filter_bits_per_owner = 16;

    void grow() {
        filter_ = std::vector<std::uint64_t>(2 * filter_.size());
        for (const auto& [owner, count] : counts_) set_bit(owner);
    }

    void set_bit(const void* owner) {
        const auto [word, bit] = place_of(owner);
        filter_[word] |= bit;
    }

    /// The position of a pointer's bit in the filter, which has 2^n words.
    std::pair<std::size_t, std::uint64_t> place_of(const void* pointer) const noexcept {
        const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer)) * 0x9E3779B97F4A7C15u;
        return {static_cast<std::size_t>(bits >> 32) & (filter_.size() - 1), std::uint64_t{1} << (bits >> 26 & 63)};
    }

    std::unordered_map<const void*, std::size_t> counts_;
    std::vector<std::uint64_t> filter_{0};
};

/// A region that is in the index, or will be added to it.
struct Regions::Entry {
    Entry(const Region& of, const void* owned_by) : region(of), owner(owned_by) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() {
        while (rows) delete std::exchange(rows, rows->next);
    }

    Region region;
    const void* owner;
    bool is_put = false, is_counted = false, is_dense = false;  ///< how far it has come into the index
    Interval<Entry*>* rows = nullptr;                           ///< its entries in lattices
    mutable std::uint64_t question = 0;                         ///< for which it was looked at last
};

/// Finds regions among others, all of which are disjoint.
///
/// Dense regions are ordered by address. A region with gaps is in the lattice of its stride. The lattice covers
/// everything from its first byte to its last, and contains the dense regions there too.
class Regions::Index {
public:
    Index() = default;
    Index(const Index&) = delete;
    Index& operator=(const Index&) = delete;
    ~Index() { intervals::destroy(covers_); }

    /// Adds a region, unless it shares memory with one in the index; then it returns that one. If it throws or returns
    /// a region, the caller must call remove().
    const Entry* put(Entry& entry) {
        entry.is_put = true;
        if (entry.owner) {
            owners_.add(entry.owner);
        } else {
            ++foreign_;
        }
        entry.is_counted = true;
        Lattice* const own = entry.region.gaps ? &lattice_of(entry.region) : nullptr;
        if (own) cover(*own, entry.region.begin, entry.region.end);
        if (const Entry* found = find(entry.region)) return found;
        if (own) {
            insert(own->with_gaps, own->stride, entry);
        } else {
            put_dense(entry);
        }
        return nullptr;
    }

    void remove(Entry& entry) noexcept {
        if (entry.is_counted && entry.owner) owners_.remove(entry.owner);
        if (entry.is_counted && !entry.owner) --foreign_;
        if (entry.is_dense) dense_.erase(entry.region.begin);
        for (; entry.rows; delete std::exchange(entry.rows, entry.rows->next)) intervals::remove(entry.rows);
        entry.is_put = entry.is_counted = entry.is_dense = false;
        is_flat_ = false;
    }

    /// A region that shares memory with this one, or null.
    const Entry* find(const Region& region) const {
        if (region.gaps) {
            if (const Entry* found = find_dense_between(region)) return found;
        } else {
            const auto next = dense_.lower_bound(region.end);
            if (next != dense_.begin() && std::prev(next)->second->region.end > region.begin)
                return std::prev(next)->second;
        }
        return find_with_gaps(region);
    }

    /// The same, but faster if nothing has changed since the last call.
    const Entry* find_again(const Region& region) const {
        if (region.gaps) return find(region);
        if (!is_flat_) {
            flat_.clear();
            for (const auto& [begin, entry] : dense_) flat_.push_back({begin, entry->region.end, entry});
            is_flat_ = true;
        }
        const std::size_t next = first_from(region.end);
        if (next > 0 && flat_[next - 1].end > region.begin) return flat_[next - 1].entry;
        return find_with_gaps(region);
    }

    /// False if not known, as before the first call of find_again().
    bool is_plainly_apart(std::uintptr_t begin, std::uintptr_t end) const noexcept {
        if (!is_flat_) return false;
        const std::size_t next = first_from(end);
        if (next > 0 && flat_[next - 1].end > begin) return false;
        return !intervals::visit(covers_, begin, end, [](const Cover&) { return true; });
    }

    bool has_owner(const void* owner) const noexcept { return owners_.has(owner); }
    bool has_foreign() const noexcept { return foreign_ != 0; }

    std::list<Entry> entries;  ///< what has been committed

private:
    struct Lattice {
        explicit Lattice(std::uint64_t bytes) : stride(bytes), with_gaps(bytes), dense(bytes) {}

        std::uint64_t stride;
        Boxes<Entry*> with_gaps;  ///< of this stride
        Boxes<Entry*> dense;      ///< in what the lattice covers
    };
    using Cover = Interval<Lattice*>;
    struct Flat {
        std::uintptr_t begin, end;
        const Entry* entry;
    };

    /// The index of the first dense region that begins at `end` or later. It is often where the last one was, or next to
    /// it, because arrays are usually allocated in their order.
    std::size_t first_from(std::uintptr_t end) const noexcept {
        const auto is_it = [&](std::size_t at) {
            return at <= flat_.size() && (at == 0 || flat_[at - 1].begin < end) &&
                   (at == flat_.size() || flat_[at].begin >= end);
        };
        std::size_t at = last_found_.load(std::memory_order_relaxed);
        if (is_it(at)) return at;
        if (!is_it(++at)) {
            const auto found = std::lower_bound(flat_.begin(), flat_.end(), end,
                                                [](const Flat& one, std::uintptr_t from) { return one.begin < from; });
            at = static_cast<std::size_t>(found - flat_.begin());
        }
        last_found_.store(at, std::memory_order_relaxed);
        return at;
    }

    static std::uint64_t stride_of(const Region& region) {
        return region.gaps->rows > 1 ? region.gaps->stride : region.gaps->run;
    }

    Lattice& lattice_of(const Region& region) {
        const std::uint64_t stride = stride_of(region);
        return lattices_.try_emplace(stride, stride).first->second;
    }

    void insert(Boxes<Entry*>& boxes, std::uint64_t stride, Entry& entry) {
        for_each_box(entry.region, stride, [&](const Box& box) {
            boxes.insert(box, &entry, count_, [&](Interval<Entry*>* rows) {
                rows->next = entry.rows;
                entry.rows = rows;
            });
            return false;
        });
    }

    void put_dense(Entry& entry) {
        dense_.emplace(entry.region.begin, &entry);
        entry.is_dense = true;
        is_flat_ = false;
        intervals::visit(covers_, entry.region.begin, entry.region.end, [&](const Cover& one) {
            insert(one.value->dense, one.value->stride, entry);
            return false;
        });
    }

    /// Adds all dense regions between `begin` and `end` to the lattice. If this throws, the lattice contains only some
    /// of them, which is harmless.
    void cover(Lattice& lattice, std::uintptr_t begin, std::uintptr_t end) {
        std::vector<Cover*> old;
        intervals::visit(covers_, begin, end, [&](Cover& one) {
            if (one.value == &lattice) old.push_back(&one);
            return false;
        });
        std::uint64_t next = begin;
        for (const Cover* one : old) {
            if (one->begin > next) add_dense_between(lattice, next, one->begin);
            next = std::max<std::uint64_t>(next, one->end);
        }
        if (next < end) add_dense_between(lattice, next, end);
        if (old.empty()) {
            intervals::insert(covers_, new Cover(begin, end, &lattice), count_++);
            return;
        }
        for (Cover* one : old) intervals::remove(one);
        old.front()->begin = std::min<std::uint64_t>(old.front()->begin, begin);
        old.front()->end = std::max<std::uint64_t>(next, end);
        intervals::insert(covers_, old.front(), count_++);
        std::for_each(old.begin() + 1, old.end(), [](Cover* one) { delete one; });
    }

    bool is_covered(const Lattice& lattice, const Region& region) const {
        return intervals::visit(covers_, region.begin, region.end, [&](const Cover& one) {
            return one.value == &lattice && one.begin <= region.begin && one.end >= region.end;
        });
    }

    /// Calls `look` for the dense regions that intersect [begin, end), until it returns true.
    template <class Look>
    bool for_each_dense(std::uint64_t begin, std::uint64_t end, Look&& look) const {
        auto next = dense_.upper_bound(begin);
        if (next != dense_.begin() && std::prev(next)->second->region.end > begin) --next;
        for (; next != dense_.end() && next->first < end; ++next) {
            if (look(*next->second)) return true;
        }
        return false;
    }

    void add_dense_between(Lattice& lattice, std::uint64_t begin, std::uint64_t end) {
        for_each_dense(begin, end, [&](Entry& entry) {
            insert(lattice.dense, lattice.stride, entry);
            return false;
        });
    }

    /// A dense region that shares memory with this region, which has gaps.
    const Entry* find_dense_between(const Region& region) const {
        const auto own = lattices_.find(stride_of(region));
        if (own != lattices_.end() && is_covered(own->second, region))
            return find_in(own->second.dense, own->second.stride, region);
        const Entry* found = nullptr;
        for_each_dense(region.begin, region.end, [&](const Entry& entry) {
            if (share_memory(entry.region, region)) found = &entry;
            return found != nullptr;
        });
        return found;
    }

    /// A region with gaps that shares memory with this region.
    const Entry* find_with_gaps(const Region& region) const {
        const Entry* found = nullptr;
        const Lattice* last = nullptr;
        intervals::visit(covers_, region.begin, region.end, [&](const Cover& one) {
            if (one.value != last) found = find_in(one.value->with_gaps, one.value->stride, region);
            last = one.value;
            return found != nullptr;
        });
        return found;
    }

    const Entry* find_in(const Boxes<Entry*>& boxes, std::uint64_t stride, const Region& region) const {
        const bool is_exact = are_exact(region, stride);
        const std::uint64_t question = ++question_;
        const Entry* found = nullptr;
        const auto look = [&](const Entry* entry) {
            if (std::exchange(entry->question, question) == question) return false;
            if ((is_exact && are_exact(entry->region, stride)) || share_memory(entry->region, region)) found = entry;
            return found != nullptr;
        };
        for_each_box(region, stride, [&](const Box& box) { return boxes.visit(box, look); });
        return found;
    }

    Owners owners_;
    std::size_t foreign_ = 0;  ///< regions whose memory no array object owns
    std::map<std::uintptr_t, Entry*> dense_;
    mutable std::vector<Flat> flat_;  ///< the same as they were when is_flat_ was set
    mutable bool is_flat_ = false;
    mutable std::atomic<std::size_t> last_found_{0};
    std::unordered_map<std::uint64_t, Lattice> lattices_;
    Cover* covers_ = nullptr;  ///< what each lattice covers: those of one are apart
    std::uint64_t count_ = 0;
    mutable std::uint64_t question_ = 0;
};

}  // namespace adamcore::python

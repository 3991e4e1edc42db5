#include "regions/regions.hpp"

#include <algorithm>
#include <utility>

#include "regions/region_index.hpp"

namespace adamcore::python {

Regions::Addition::Addition() = default;

Regions::Addition::Addition(Addition&& other) noexcept
    : entries_(std::move(other.entries_)), index_(std::exchange(other.index_, nullptr)) {}

Regions::Addition& Regions::Addition::operator=(Addition&& other) noexcept {
    std::swap(entries_, other.entries_);
    std::swap(index_, other.index_);
    return *this;
}

Regions::Addition::~Addition() {
    if (!index_) return;
    for (Entry& entry : entries_) {
        if (entry.is_put) index_->remove(entry);
    }
}

void Regions::Addition::add(const Region& region, const void* owner) {
    if (region.begin != region.end) entries_.emplace_back(region, owner);
}

Regions::Regions() : index_(std::make_unique<Index>()) {}

Regions::Regions(Regions&& other) noexcept = default;
Regions& Regions::operator=(Regions&& other) noexcept = default;
Regions::~Regions() = default;

std::optional<Regions::Overlap> Regions::find_overlap(Addition& added) {
    added.index_ = index_.get();
    for (Entry& entry : added.entries_) {
        if (entry.is_put) continue;
        if (const Entry* found = index_->put(entry)) return Overlap{found->region, entry.region};
    }
    return std::nullopt;
}

void Regions::check(Addition& added, const Label& label) {
    const auto overlap = find_overlap(added);
    if (!overlap) return;
    const auto label_of = [&](std::int64_t tensor) { return tensor < 0 ? "the optimizer's state" : label(tensor); };
    const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
    throw py::value_error(
        label_of(second) + ": shares memory with " + label_of(first) +
        "; parameters must not share memory. Pass a tied parameter once, with the sum of its gradients");
}

void Regions::commit(Addition&& added) noexcept {
    index_->entries.splice(index_->entries.end(), added.entries_);
    added.index_ = nullptr;
}

void Regions::clear() noexcept {
    for (Entry& entry : index_->entries) index_->remove(entry);
    index_->entries.clear();
}

std::optional<Regions::Region> Regions::find_overlap(const Region& region, const void* owner) const {
    if (region.begin == region.end) return std::nullopt;
    if (owner && is_plainly_apart(owner)) return std::nullopt;
    const Entry* const found = index_->find_again(region);
    return found ? std::optional(found->region) : std::nullopt;
}

bool Regions::is_plainly_apart(const void* owner) const noexcept {
    return !index_->has_foreign() && !index_->has_owner(owner);
}

bool Regions::is_plainly_apart(std::uintptr_t begin, std::uintptr_t end) const noexcept {
    return index_->is_plainly_apart(begin, end);
}

}  // namespace adamcore::python

#include "regions.hpp"

#include <algorithm>

namespace adamcore::python {
namespace {

constexpr std::size_t filter_bits_per_owner = 16;

/// The place of a pointer's bit in a filter of 2^n words.
std::pair<std::size_t, std::uint64_t> bit_of(const void* pointer, std::size_t words) {
    const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer)) * 0x9E3779B97F4A7C15u;
    return {static_cast<std::size_t>(bits >> 32) & (words - 1), std::uint64_t{1} << (bits >> 26 & 63)};
}

}  // namespace

void Regions::add(const void* data, std::int64_t bytes, const void* owner, std::int64_t tensor) {
    if (bytes == 0) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    const Region region{begin, begin + static_cast<std::uintptr_t>(bytes), tensor};
    all_.push_back(region);
    if (owner) {
        owners_.push_back(owner);
    } else {
        foreign_.push_back(region);
    }
}

void Regions::sort() {
    for (auto* regions : {&all_, &foreign_}) {
        std::sort(regions->begin(), regions->end(), [](Region a, Region b) { return a.begin < b.begin; });
    }
    std::sort(owners_.begin(), owners_.end());
    std::size_t words = 1;
    while (64 * words < filter_bits_per_owner * owners_.size()) words *= 2;
    filter_.assign(words, 0);
    for (const void* owner : owners_) {
        const auto [word, bit] = bit_of(owner, words);
        filter_[word] |= bit;
    }
}

std::optional<std::pair<Regions::Region, Regions::Region>> Regions::find_overlap() const {
    for (std::size_t i = 1; i < all_.size(); ++i) {
        if (all_[i].begin < all_[i - 1].end) return std::pair{all_[i - 1], all_[i]};
    }
    return std::nullopt;
}

bool Regions::is_owner(const void* owner) const noexcept {
    const auto [word, bit] = bit_of(owner, filter_.size());
    return (filter_[word] & bit) != 0 && std::binary_search(owners_.begin(), owners_.end(), owner);
}

std::optional<Regions::Region> Regions::search(const std::vector<Region>& sorted, std::uintptr_t begin,
                                               std::uintptr_t end) {
    // Regions in `sorted` are disjoint, so only the last that begins before `end` can reach into [begin, end).
    auto next = std::lower_bound(sorted.begin(), sorted.end(), end,
                                 [](const Region& region, std::uintptr_t value) { return region.begin < value; });
    if (next == sorted.begin()) return std::nullopt;
    const Region& last = *--next;
    return last.end > begin ? std::optional(last) : std::nullopt;
}

std::optional<Regions::Region> Regions::find_overlap(const void* data, std::int64_t bytes, const void* owner) const {
    if (bytes == 0) return std::nullopt;
    const bool apart = owner && !is_owner(owner);
    if (apart && foreign_.empty()) return std::nullopt;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    return search(apart ? foreign_ : all_, begin, begin + static_cast<std::uintptr_t>(bytes));
}

}  // namespace adamcore::python

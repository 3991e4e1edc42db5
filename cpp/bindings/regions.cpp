#include "regions.hpp"

#include <algorithm>

#include <pybind11/numpy.h>

namespace adamcore::python {
namespace {

constexpr std::size_t filter_bits_per_owner = 16;

/// The place of a pointer's bit in a filter of 2^n words.
std::pair<std::size_t, std::uint64_t> bit_of(const void* pointer, std::size_t words) {
    const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer)) * 0x9E3779B97F4A7C15u;
    return {static_cast<std::size_t>(bits >> 32) & (words - 1), std::uint64_t{1} << (bits >> 26 & 63)};
}

/// Whether two regions that reach into each other share memory: interleaved views may not. NumPy solves it exactly; where
/// it would take too long the answer is yes.
bool overlap(const Regions::Region& a, const Regions::Region& b) {
    if (!a.array && !b.array) return true;
    // The memory of a dense region, as an array, where that is not at hand.
    const auto array_of = [](const Regions::Region& region) -> py::object {
        if (region.array) return py::reinterpret_borrow<py::object>(region.array);
        return py::array(py::dtype::of<std::uint8_t>(), {static_cast<Py_ssize_t>(region.end - region.begin)},
                         {Py_ssize_t{1}}, reinterpret_cast<const void*>(region.begin), py::none());
    };
    try {
        return py::module_::import("numpy").attr("shares_memory")(array_of(a), array_of(b), 1000000).cast<bool>();
    } catch (py::error_already_set& error) {
        if (error.matches(PyExc_MemoryError) || error.matches(PyExc_KeyboardInterrupt)) throw;
        return true;
    }
}

}  // namespace

Regions::Region Regions::region_of(const ArrayView& view, py::handle array, std::int64_t tensor) {
    Region region{0, 0, tensor, nullptr};
    if (view.size == 0) return region;
    region.begin = region.end = reinterpret_cast<std::uintptr_t>(view.data);
    for (int axis = 0; axis < view.ndim; ++axis) {
        const Py_ssize_t reach = (view.shape[axis] - 1) * view.strides[axis];
        (reach < 0 ? region.begin : region.end) += static_cast<std::uintptr_t>(reach);
    }
    region.end += static_cast<std::uintptr_t>(view.item_size());
    if (!is_dense(view)) region.array = array.ptr();
    return region;
}

void Regions::add(const Region& region, const void* owner) {
    if (region.begin == region.end) return;
    all_.push_back(region);
    has_gaps_ = has_gaps_ || region.array;
    longest_ = std::max(longest_, region.end - region.begin);
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
    for (std::size_t i = 0; i < all_.size(); ++i) {
        for (std::size_t k = i + 1; k < all_.size() && all_[k].begin < all_[i].end; ++k) {
            if (overlap(all_[i], all_[k])) return std::pair{all_[i], all_[k]};
        }
    }
    return std::nullopt;
}

void Regions::require_apart(const std::function<std::string(std::int64_t)>& label) const {
    const auto overlap = find_overlap();
    if (!overlap) return;
    const auto label_of = [&](std::int64_t tensor) { return tensor < 0 ? "the optimizer's state" : label(tensor); };
    const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
    throw py::value_error(label_of(second) + ": shares memory with " + label_of(first) +
                          "; every parameter must have memory of its own");
}

bool Regions::is_owner(const void* owner) const noexcept {
    const auto [word, bit] = bit_of(owner, filter_.size());
    return (filter_[word] & bit) != 0 && std::binary_search(owners_.begin(), owners_.end(), owner);
}

std::optional<Regions::Region> Regions::search(const std::vector<Region>& sorted, const Region& region) const {
    // Whatever reaches into the region begins before its end, and not further before its begin than the longest is.
    auto next = std::lower_bound(sorted.begin(), sorted.end(), region.end,
                                 [](const Region& one, std::uintptr_t value) { return one.begin < value; });
    while (next != sorted.begin()) {
        const Region& one = *--next;
        if (region.begin > one.begin && region.begin - one.begin >= longest_) break;
        if (one.end > region.begin && overlap(one, region)) return one;
        if (!has_gaps_) break;  // then they are disjoint, and none before this one reaches further
    }
    return std::nullopt;
}

std::optional<Regions::Region> Regions::find_overlap(const Region& region, const void* owner) const {
    if (region.begin == region.end) return std::nullopt;
    const bool apart = owner && !is_owner(owner);
    if (apart && foreign_.empty()) return std::nullopt;
    return search(apart ? foreign_ : all_, region);
}

}  // namespace adamcore::python

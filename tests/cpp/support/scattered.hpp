#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "adamcore/storage/layout.hpp"
#include "support/stored.hpp"

/// Arrays that do not lie densely, and nested loops over them.
namespace adamcore::test {

using Numbers = std::vector<std::int64_t>;

/// Axes that own what they point to.
struct OwnAxes {
    Numbers shape, strides;

    Axes view() const { return {static_cast<std::int32_t>(shape.size()), shape.data(), strides.data()}; }
    std::int64_t size() const {
        return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    }
};

/// The offset of each element, by loops over the axes from `axis` on.
inline void append_offsets(const OwnAxes& axes, std::size_t axis, std::int64_t offset, Numbers& out) {
    if (axis == axes.shape.size()) return out.push_back(offset);
    for (std::int64_t i = 0; i < axes.shape[axis]; ++i)
        append_offsets(axes, axis + 1, offset + i * axes.strides[axis], out);
}

inline Numbers offsets_of(const OwnAxes& axes) {
    Numbers offsets;
    append_offsets(axes, 0, 0, offsets);
    return offsets;
}

/// `size` elements on random axes: in any order in memory, backwards or not, with or without gaps, none upon another.
inline OwnAxes random_axes(std::int64_t size, std::int64_t item, std::mt19937& random) {
    OwnAxes axes;
    for (std::int64_t factor = 2; size > 1; factor += size % factor == 0 ? 0 : 1) {
        if (size % factor != 0) continue;
        size /= factor;
        if (!axes.shape.empty() && random() % 2 == 0) {
            axes.shape.back() *= factor;
        } else {
            axes.shape.push_back(factor);
        }
    }
    std::shuffle(axes.shape.begin(), axes.shape.end(), random);
    std::vector<std::size_t> order(axes.shape.size());
    std::iota(order.rbegin(), order.rend(), 0u);
    if (random() % 2 == 0) std::shuffle(order.begin(), order.end(), random);
    axes.strides.resize(order.size());
    std::int64_t stride = item * static_cast<std::int64_t>(1 + random() % 3 / 2);
    for (const std::size_t axis : order) {
        axes.strides[axis] = random() % 3 == 0 ? -stride : stride;
        stride *= axes.shape[axis] + static_cast<std::int64_t>(random() % 2);
    }
    return axes;
}

/// An array's elements on axes, in memory that otherwise holds a pattern.
class Scattered {
public:
    Scattered(const Stored& dense, const OwnAxes& axes) : offsets_(offsets_of(axes)), item_(size_of(dense.dtype())) {
        const auto [least, most] = std::minmax_element(offsets_.begin(), offsets_.end());
        first_ = margin - *least;
        memory_.resize(static_cast<std::size_t>(*most - *least + 2 * margin), std::byte{0x5a});
        const auto* values = static_cast<const std::byte*>(dense.data());
        for (std::size_t i = 0; i < offsets_.size(); ++i)
            std::memcpy(memory_.data() + first_ + offsets_[i], values + i * item_, item_);
    }

    void* data() { return memory_.data() + first_; }
    bool operator==(const Scattered& other) const { return memory_ == other.memory_; }

private:
    static constexpr std::int64_t margin = 64;

    Numbers offsets_;
    std::size_t item_;
    std::int64_t first_;
    std::vector<std::byte> memory_;
};

}  // namespace adamcore::test

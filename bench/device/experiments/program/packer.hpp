#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace adamcore::experiments {

/// Lays a set's tables out, and copies them into an image of the memory where they will lie.
class Packer {
public:
    /// Without an image it only counts.
    Packer(std::byte* image, std::byte* base) : image_(image), base_(base) {}

    template <class T>
    T* add(const std::vector<T>& values) {
        used_ = round_up(used_);
        if (image_ && !values.empty()) std::memcpy(image_ + used_, values.data(), values.size() * sizeof(T));
        T* const place = reinterpret_cast<T*>(base_ + used_);
        used_ += static_cast<std::int64_t>(values.size() * sizeof(T));
        return place;
    }

    std::int64_t used() const { return round_up(used_); }

private:
    static std::int64_t round_up(std::int64_t x) { return (x + 255) / 256 * 256; }

    std::byte* image_;
    std::byte* base_;
    std::int64_t used_ = 0;
};

}  // namespace adamcore::experiments

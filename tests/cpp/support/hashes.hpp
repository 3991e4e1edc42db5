#pragma once

#include <cstddef>
#include <cstdint>

namespace adamcore::test {

/// Of no bytes (FNV-1a).
inline constexpr std::uint64_t hash_start = 14695981039346656037u;

inline std::uint64_t hash_of(const void* data, std::size_t bytes, std::uint64_t hash) {
    for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
    return hash;
}

}  // namespace adamcore::test

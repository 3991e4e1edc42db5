#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/rule.hpp"

namespace adamcore::cpu::detail {

/// Prefetches memory that will be read and perhaps written. Processors prefetch steady streams by themselves, but tiles
/// are read in bursts, array after array, and without this call they wait for memory at the beginning of each. It is
/// forced inline also because GCC removes calls of functions that do nothing but prefetch.
ADAMCORE_FN void prefetch([[maybe_unused]] const void* memory, [[maybe_unused]] std::int64_t bytes) {
#if defined(__GNUC__)
    for (std::int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(memory) + at, 1, 3);
#endif
}

/// How far ahead loops over few arrays prefetch, and how much at a time. Processors keep too few lines of one, two or three
/// streams under way: a sum over one array read 8 to 10 GB/s from memory without this, and 12 to 15 with it. The values
/// were measured; 3 to 8 KB ahead make little difference.
inline constexpr std::int64_t bytes_ahead = 4096, bytes_at_once = 256;

template <class T>
inline constexpr std::int64_t elements_at_once = bytes_at_once / std::int64_t{sizeof(T)};

/// Prefetches elements of an array that lie `bytes_ahead` behind element `at`, or element `last` if it comes before.
template <bool Uses, class T>
ADAMCORE_FN void prefetch_behind([[maybe_unused]] const T* array, [[maybe_unused]] std::int64_t at,
                                 [[maybe_unused]] std::int64_t last) {
#if defined(__GNUC__)
    if constexpr (Uses) {
        const std::int64_t ahead = math::min(at + bytes_ahead / std::int64_t{sizeof(T)}, last);
        for (std::int64_t i = 0; i < bytes_at_once; i += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(array + ahead) + i, 0, 3);
    }
#endif
}

/// Does so for the arrays that a kernel reads.
template <unsigned Reads, class T, std::size_t... I, class... State>
ADAMCORE_FN void prefetch_next(std::int64_t at, std::int64_t last, const T* param, const T* grad,
                               std::index_sequence<I...>, const State*... state) {
    prefetch_behind<(Reads & rule::param) != 0>(param, at, last);
    prefetch_behind<(Reads & rule::grad) != 0>(grad, at, last);
    (prefetch_behind<(Reads & rule::slot(I)) != 0>(state, at, last), ...);
}

}  // namespace adamcore::cpu::detail

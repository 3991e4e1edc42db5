#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "adamcore/tensor.hpp"

namespace adamcore::bench {

/// The most arrays that an update touches: parameter, gradient, state.
inline constexpr std::size_t max_arrays = 2 + max_slots;

/// Memory for the arrays of one update at a time, its pages mapped once for all benchmarks.
///
/// Arrays start on cache lines, each 256 bytes further into its page than the one before: loads from addresses that
/// agree in their last 12 bits with an earlier store would wait for it.
class Arena {
public:
    explicit Arena(std::size_t largest_array)
        : memory_(static_cast<std::byte*>(
              std::aligned_alloc(huge_page, round_up(max_arrays * pitch(largest_array), huge_page)))) {
        if (!memory_) throw std::bad_alloc();
#if defined(__linux__)
        // As NumPy does for its arrays.
        madvise(memory_.get(), max_arrays * pitch(largest_array), MADV_HUGEPAGE);
#endif
    }

    /// The memory from its `byte` on.
    void* at(std::size_t byte) const { return memory_.get() + byte; }

    /// Array `k` of those that take `bytes` each.
    void* array(std::size_t k, std::size_t bytes) const { return memory_.get() + k * pitch(bytes); }

private:
    static constexpr std::size_t page = 4096, huge_page = 1 << 21, stagger = 256;

    static constexpr std::size_t round_up(std::size_t x, std::size_t unit) { return (x + unit - 1) / unit * unit; }
    static constexpr std::size_t pitch(std::size_t bytes) { return round_up(bytes, page) + stagger; }

    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace adamcore::bench

#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace adamcore {

/// One block of zeroed memory for many arrays, each of which starts on its own cache line.
///
/// Pages are touched only when they are used, and large blocks ask for huge pages.
class Slab {
public:
    /// Computes the size of a slab, array by array.
    class Measure {
    public:
        /// Returns the offset of an array of `bytes` bytes.
        std::size_t add(std::size_t bytes) {
            std::size_t begin = round_up(total_, line);
            if (bytes >= large) {
                // Large arrays start 256 bytes apart within a page: at equal offsets, loads from one array wait for
                // stores to another.
                begin = round_up(begin, page) + 256 * (++large_count_ % 16);
            }
            total_ = begin + bytes;
            return begin;
        }
        std::size_t total() const { return total_; }

    private:
        std::size_t total_ = 0;
        std::size_t large_count_ = 0;
    };

    /// Throws std::bad_alloc.
    explicit Slab(std::size_t bytes) : size_(bytes) {
        const std::size_t alignment = bytes >= huge_page ? huge_page : bytes >= large ? page : line;
        memory_.reset(std::calloc(bytes + alignment, 1));  // large blocks consist of the kernel's zero pages
        if (!memory_) throw std::bad_alloc();
        data_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::size_t>(memory_.get()), alignment));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        // This is only a hint. If the kernel declines, it uses ordinary pages.
        if (bytes >= huge_page) (void)madvise(data_, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
    }

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

private:
    static constexpr std::size_t line = 64, page = 4096, huge_page = std::size_t{1} << 21;
    /// Arrays of this size are placed within pages.
    static constexpr std::size_t large = 16 * page;

    static constexpr std::size_t round_up(std::size_t x, std::size_t to) { return (x + to - 1) / to * to; }

    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> memory_;
    std::byte* data_;
    std::size_t size_;
};

}  // namespace adamcore

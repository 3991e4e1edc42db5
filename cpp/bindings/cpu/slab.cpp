#include "cpu/slab.hpp"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace adamcore::python {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = std::size_t{1} << 21;

std::size_t round_up(std::size_t x, std::size_t to) { return (x + to - 1) / to * to; }

}  // namespace

std::size_t Slab::Measure::add(std::size_t bytes) {
    std::size_t begin = round_up(total_, line);
    if (bytes >= 16 * page) {
        // Large arrays start 256 bytes apart within a page: at equal offsets, loads from one array wait for stores to
        // another.
        begin = round_up(begin, page) + 256 * (++large_ % 16);
    }
    total_ = begin + bytes;
    return begin;
}

void Slab::Free::operator()(void* memory) const { std::free(memory); }

Slab::Slab(std::size_t bytes) : size_(bytes) {
    const std::size_t alignment = bytes >= huge_page ? huge_page : page;
    memory_.reset(std::calloc(bytes + alignment, 1));  // large blocks consist of the kernel's zero pages
    if (!memory_) throw std::bad_alloc();
    data_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::size_t>(memory_.get()), alignment));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    // This is only a hint. If the kernel declines, it uses ordinary pages.
    if (bytes >= huge_page) (void)madvise(data_, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
}

}  // namespace adamcore::python

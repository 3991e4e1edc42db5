#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace adamcore::test {

/// Where an array lies in its pages: the other end has slack.
enum class Against : bool { start, end };

/// `size` elements between two pages that may not be touched, flush against one of them.
template <class T>
class Guarded {
public:
    Guarded(std::size_t size, Against against)
        : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
          bytes_((size * sizeof(T) / page_ + 1) * page_),
          mapping_(mmap(nullptr, bytes_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        if (mapping_ == MAP_FAILED) throw std::bad_alloc();
        std::byte* first = static_cast<std::byte*>(mapping_) + page_;
        protect(PROT_READ | PROT_WRITE);
        data_ = reinterpret_cast<T*>(against == Against::start ? first : first + bytes_ - size * sizeof(T));
    }
    ~Guarded() { munmap(mapping_, bytes_ + 2 * page_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    T* data() const { return data_; }
    void forbid_writes() const { protect(PROT_READ); }

private:
    void protect(int access) const {
        if (mprotect(static_cast<std::byte*>(mapping_) + page_, bytes_, access) != 0) throw std::bad_alloc();
    }

    std::size_t page_, bytes_;
    void* mapping_;
    T* data_;
};

}  // namespace adamcore::test

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace adamcore::python {

/// One block of zeroed memory for many arrays, each of which starts on its own cache line.
///
/// Pages are touched only when they are used, and large blocks ask for huge pages.
class Slab {
public:
    /// Computes the size of a slab, array by array.
    class Measure {
    public:
        /// Returns the offset of an array of `bytes` bytes.
        std::size_t add(std::size_t bytes);
        std::size_t total() const { return total_; }

    private:
        std::size_t total_ = 0;
        std::size_t large_ = 0;
    };

    explicit Slab(std::size_t bytes);

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

private:
    struct Free {
        void operator()(void* memory) const;
    };
    std::unique_ptr<void, Free> memory_;
    std::byte* data_;
    std::size_t size_;
};

}  // namespace adamcore::python

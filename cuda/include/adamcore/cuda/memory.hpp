#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

#include "adamcore/cuda/runtime.hpp"

/// Memory that the engine owns, on the device and pinned on the host.
namespace adamcore::cuda {

/// A block of device memory.
class Block {
public:
    /// `stream` is the stream whose work uses the block, if it is only one.
    Block(int device, std::size_t bytes, std::optional<Stream> stream = {});
    ~Block();
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    std::byte* data() const { return static_cast<std::byte*>(data_); }
    std::size_t size() const { return size_; }

private:
    int device_;
    std::optional<Stream> stream_;
    std::size_t size_;
    void* data_;
};

/// Blocks for results, which are used again: neither taking one nor giving it back waits for the device.
class Pool : public std::enable_shared_from_this<Pool> {
public:
    explicit Pool(int device) : device_(device) {}

    /// A block of at least this size, which returns when the last copy of the pointer is gone. Work that uses it comes
    /// after the work that has used it before.
    std::shared_ptr<Block> take(std::size_t bytes);

private:
    int device_;
    std::mutex lock_;  ///< blocks return by any thread
    std::vector<std::unique_ptr<Block>> free_;
};

/// Lays out arrays in a block. The layout function runs twice: first to compute the size, and then, with the address of
/// the block and host memory to fill, to write the arrays.
class Packer {
public:
    Packer() = default;
    Packer(std::byte* host, std::byte* device) : host_(host), device_(device) {}

    /// Returns the address that a copy of `values` will have on the device.
    template <class T>
    T* add(const std::vector<T>& values) {
        static_assert(std::is_trivially_copyable_v<T>);
        T* const place = reserve<T>(values.size());
        if (host_ && !values.empty()) std::memcpy(host_ + (size_ - bytes_), values.data(), values.size() * sizeof(T));
        return place;
    }

    /// Reserves space for `count` values that kernels write.
    template <class T>
    T* reserve(std::size_t count) {
        bytes_ = (count * sizeof(T) + alignment - 1) / alignment * alignment;
        T* const place = reinterpret_cast<T*>(device_ + size_);
        size_ += bytes_;
        return place;
    }

    std::size_t size() const { return size_; }

private:
    static constexpr std::size_t alignment = 64;

    std::byte* host_ = nullptr;
    std::byte* device_ = nullptr;
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
};

/// Pinned memory for copies that are in progress. It grows with the number of concurrent copies, and is never released,
/// because that would wait for the device.
class Staging {
public:
    /// Queues a copy of the current contents of `from`. Raises Error in a capture, because each replay would copy again
    /// from memory that other copies have reused.
    void send(void* to, const void* from, std::size_t bytes, Stream stream);

    /// The Staging of a device. It is never destroyed, because the driver may be gone when the process ends.
    static Staging& of(int device);

private:
    struct Slot {
        std::byte* memory = nullptr;
        Event sent;
    };

    /// Slots of one size, in the order in which they are used.
    struct Ring {
        std::vector<std::unique_ptr<Slot>> slots;
        std::size_t next = 0;
    };

    Slot& free_slot(std::size_t bytes);

    std::mutex lock_;
    std::map<std::size_t, Ring> rings_;
};

}  // namespace adamcore::cuda

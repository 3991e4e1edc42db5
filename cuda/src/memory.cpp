#include "adamcore/cuda/memory.hpp"

#include <algorithm>
#include <map>

namespace adamcore::cuda {

Block::Block(int device, std::size_t bytes, std::optional<Stream> stream)
    : device_(device), stream_(stream), size_(std::max<std::size_t>(bytes, 1)) {
    const DeviceScope scope(device);
    data_ = stream ? allocate(size_, *stream) : allocate(size_);
}

Block::~Block() {
    try {
        const DeviceScope scope(device_);
        const OutsideCapture outside;
        stream_ ? release(data_, *stream_) : release(data_);
    } catch (const Error&) {  // in a forked child, or after the driver: there is nothing to give back
    }
}

void Staging::send(void* to, const void* from, std::size_t bytes, Stream stream) {
    if (bytes == 0) return;
    const std::scoped_lock lock(lock_);
    Slot& slot = free_slot(bytes);
    std::memcpy(slot.memory, from, bytes);
    copy_to_device(to, slot.memory, bytes, stream);
    slot.sent.record(stream);
}

Staging& Staging::of(int device) {
    static std::mutex lock;
    static auto& all = *new std::map<int, Staging>();
    const std::scoped_lock hold(lock);
    return all[device];
}

Staging::Slot::Slot(std::size_t bytes) : size(bytes), memory(static_cast<std::byte*>(allocate_pinned(bytes))) {}

Staging::Slot::~Slot() { release_pinned(memory); }

Staging::Slot& Staging::free_slot(std::size_t bytes) {
    for (const auto& slot : slots_) {
        if (slot->size >= bytes && slot->sent.is_past()) return *slot;
    }
    // What is too small will not be asked for again.
    slots_.erase(std::remove_if(slots_.begin(), slots_.end(),
                                [&](const auto& slot) { return slot->size < bytes && slot->sent.is_past(); }),
                 slots_.end());
    slots_.push_back(std::make_unique<Slot>(bytes + bytes / 4));
    return *slots_.back();
}

}  // namespace adamcore::cuda

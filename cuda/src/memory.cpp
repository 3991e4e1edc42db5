#include "adamcore/cuda/memory.hpp"

#include <algorithm>
#include <iterator>

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
    } catch (const Error&) {  // in a forked child, or after the driver has ended, nothing can be released
    }
}

std::shared_ptr<Block> Pool::take(std::size_t bytes) {
    std::unique_ptr<Block> block;
    {
        const std::scoped_lock lock(lock_);
        const auto found =
            std::find_if(free_.begin(), free_.end(), [&](const auto& each) { return each->size() >= bytes; });
        if (found != free_.end()) {
            block = std::move(*found);
            free_.erase(found);
        }
    }
    if (!block) block = std::make_unique<Block>(device_, bytes);
    const auto give_back = [self = shared_from_this()](Block* given) {
        const std::scoped_lock lock(self->lock_);
        self->free_.emplace_back(given);
    };
    return {block.release(), give_back};
}

void Staging::send(void* to, const void* from, std::size_t bytes, Stream stream) {
    if (bytes == 0) return;
    if (is_capturing(stream)) throw Error("tables cannot be copied to the device while a CUDA graph is being captured");
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

Staging::Slot& Staging::free_slot(std::size_t bytes) {
    constexpr std::size_t least = std::size_t{1} << 12, chunk = std::size_t{1} << 18;
    std::size_t size = least;
    while (size < bytes) size *= 2;
    auto& [slots, next] = rings_[size];
    const auto take = [&all = slots, &turn = next](std::size_t i) -> Slot& {
        turn = (i + 1) % all.size();
        return *all[i];
    };
    // The slot used longest ago comes first. If its copy is in progress, so are the others, unless one stream is stuck.
    for (std::size_t k = 0; k < std::min<std::size_t>(slots.size(), 4); ++k) {
        const std::size_t i = (next + k) % slots.size();
        if (slots[i]->sent.is_past()) return take(i);
    }
    const std::size_t count = std::max<std::size_t>(chunk / size, 1);
    std::vector<std::unique_ptr<Slot>> more;
    for (std::size_t i = 0; i < count; ++i) more.push_back(std::make_unique<Slot>());
    auto* const memory = static_cast<std::byte*>(allocate_pinned(count * size));
    for (std::size_t i = 0; i < count; ++i) more[i]->memory = memory + i * size;
    slots.insert(slots.begin() + static_cast<std::ptrdiff_t>(next), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
    return take(next);
}

}  // namespace adamcore::cuda

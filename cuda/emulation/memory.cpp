// Memory of the emulated devices. New memory is filled with 0xff, so that code that reads it before writing finds NaN.

#include <cstdlib>
#include <cstring>

#include "calls.hpp"
#include "world.hpp"

namespace adamcore::cuda::emulation {
namespace {

using Allocations = std::map<std::uintptr_t, Allocation>;

/// The allocation that contains an address, or the end.
Allocations::const_iterator find(const Allocations& memory, const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    auto after = memory.upper_bound(address);
    if (after == memory.begin()) return memory.end();
    --after;
    return address < after->first + after->second.bytes ? after : memory.end();
}

void* allocate(Allocations& memory, std::size_t bytes, int device) {
    void* const found = std::aligned_alloc(512, (bytes + 511) / 512 * 512 + 512);
    if (!found) fail(cudaErrorMemoryAllocation);
    std::memset(found, 0xff, bytes);
    memory[reinterpret_cast<std::uintptr_t>(found)] = {bytes, device, false};
    return found;
}

/// To be called with the lock held, or without.
void free_from(Allocations& memory, void* pointer) {
    memory.erase(reinterpret_cast<std::uintptr_t>(pointer));
    std::free(pointer);
}

void free_now(void* memory) {
    const auto hold = World::hold();
    free_from(World::get().memory, memory);
}

void release_in_order(World& world, World::Hold& hold, void* memory, Stream stream) {
    const auto found = find(world.memory, memory);
    if (found == world.memory.end()) fail(cudaErrorInvalidValue);
    if (world.pretends) return free_from(world.memory, memory);
    // The next owner of this memory overwrites it, in the order of the stream.
    const std::size_t bytes = found->second.bytes;
    world.append(hold, world.stream(stream), [=] {
        std::memset(memory, 0xff, bytes);
        free_now(memory);
    });
}

}  // namespace

void* allocate_for(int device, std::size_t bytes) {
    const auto hold = World::hold();
    return allocate(World::get().memory, bytes, device);
}

void release_on(void* memory, Stream stream) {
    auto hold = World::hold();
    release_in_order(World::get(), hold, memory, stream);
}

void adopt(const void* memory, std::size_t bytes, int device) {
    const auto hold = World::hold();
    World::get().memory[reinterpret_cast<std::uintptr_t>(memory)] = {bytes, device, true};
}

void forget(const void* memory) {
    const auto hold = World::hold();
    World::get().memory.erase(reinterpret_cast<std::uintptr_t>(memory));
}

std::size_t live_allocations() {
    const auto hold = World::hold();
    std::size_t count = 0;
    for (const auto& [address, allocation] : World::get().memory) count += allocation.adopted ? 0 : 1;
    return count;
}

}  // namespace adamcore::cuda::emulation

namespace emulation = adamcore::cuda::emulation;
using emulation::call;
using emulation::handle_of;
using emulation::World;

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
    return call("", [&](World& world, World::Hold&) {
        const auto found = emulation::find(world.memory, memory);
        const bool is_known = found != world.memory.end();
        *attributes = {is_known ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered,
                       is_known ? found->second.device : 0};
    });
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    return call("allocate", [&](World& world, World::Hold&) {
        world.require_safe_call();
        *memory = emulation::allocate(world.memory, bytes, emulation::current_device());
    });
}

/// Waits for the device, unless a stream is captured.
cudaError_t cudaFree(void* memory) {
    return call("", [&](World& world, World::Hold& hold) {
        world.require_safe_call();
        if (!world.is_captured_anywhere()) world.run_until(hold, nullptr);
        emulation::free_from(world.memory, memory);
    });
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
    return call("allocate", [&](World& world, World::Hold& hold) {
        void* const found = *memory = emulation::allocate(world.memory, bytes, emulation::current_device());
        // If other code uses it before the stream reaches this point, its data is lost.
        if (!world.pretends)
            world.append(hold, world.stream(handle_of(stream)), [=] { std::memset(found, 0xff, bytes); });
    });
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
    return call("", [&](World& world, World::Hold& hold) {
        emulation::release_in_order(world, hold, memory, handle_of(stream));
    });
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    return call("allocate", [&](World& world, World::Hold&) {
        world.require_safe_call();
        *memory = emulation::allocate(world.pinned, bytes, -1);
    });
}

cudaError_t cudaFreeHost(void* memory) {
    return call("", [&](World& world, World::Hold& hold) {
        world.require_safe_call();
        world.run_until(hold, nullptr);
        emulation::free_from(world.pinned, memory);
    });
}

/// Pinned memory is read when the stream reaches the copy; other host memory is read immediately.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return call("copy", [&](World& world, World::Hold& hold) {
        std::string what = kind == cudaMemcpyHostToDevice   ? "copy of " + std::to_string(bytes) + " bytes"
                           : kind == cudaMemcpyDeviceToHost ? "copy to the host"
                                                            : "copy on the device";
        std::function<void()> work = [=] { std::memmove(to, from, bytes); };
        if (kind == cudaMemcpyHostToDevice && emulation::find(world.pinned, from) == world.pinned.end()) {
            const auto* const first = static_cast<const std::byte*>(from);
            work = [to, copy = std::vector<std::byte>(first, first + bytes)] {
                std::memcpy(to, copy.data(), copy.size());
            };
        }
        world.queue(hold, handle_of(stream), what, std::move(work));
    });
}

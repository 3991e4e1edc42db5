#include "adamcore/cuda/runtime.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "emulation.hpp"

namespace adamcore::cuda {
namespace {

struct Allocation {
    std::size_t bytes;
    int device;
};

struct World {
    std::mutex lock;
    std::map<std::uintptr_t, Allocation> memory;
    std::map<Stream, std::vector<std::function<void()>>> captures;
    std::vector<std::string> log;
    bool backwards = false;
    bool pretends = false;
    std::uint64_t events = 0;
    long process = 0;
};

World& world() {
    static World world;
    return world;
}

thread_local int current_device = 0;

void require(bool holds, const char* what) {
    if (!holds) throw Error(std::string("CUDA: ") + what);
}

void note(const std::string& what) {
    if (world().pretends) return;
    const std::scoped_lock lock(world().lock);
    world().log.push_back(what);
}

std::string place(Stream stream) { return " on stream " + std::to_string(stream); }

}  // namespace

namespace emulation {

void run_backwards(bool backwards) { world().backwards = backwards; }
bool runs_backwards() { return world().backwards; }

void pretend(bool pretends) { world().pretends = pretends; }

void queue(Stream stream, const std::string& what, std::function<void()> work) {
    if (world().pretends) return;
    note(what + place(stream));
    const auto capture = world().captures.find(stream);
    if (capture == world().captures.end()) return work();
    capture->second.push_back(std::move(work));
}

void begin_capture(Stream stream) { world().captures[stream]; }

std::function<void()> end_capture(Stream stream) {
    auto work = std::move(world().captures.at(stream));
    world().captures.erase(stream);
    return [work = std::move(work)] {
        for (const auto& each : work) each();
    };
}

std::vector<std::string> take_log() {
    const std::scoped_lock lock(world().lock);
    return std::exchange(world().log, {});
}

void* allocate_for(int device, std::size_t bytes) {
    void* memory = std::aligned_alloc(512, (bytes + 511) / 512 * 512 + 512);
    require(memory != nullptr, "out of memory");
    std::memset(memory, 0xff, bytes);  // whoever reads before writing finds NaN
    const std::scoped_lock lock(world().lock);
    world().memory[reinterpret_cast<std::uintptr_t>(memory)] = {bytes, device};
    return memory;
}

std::size_t live_allocations() { return world().memory.size(); }

}  // namespace emulation

int device_count(std::string*) noexcept { return emulation::devices; }

std::string device_name(int device) { return "emulated device " + std::to_string(device); }

void require_kernels(int) {}

int device_of(const void* memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    const std::scoped_lock lock(world().lock);
    auto after = world().memory.upper_bound(address);
    if (after == world().memory.begin()) return -1;
    --after;
    return address < after->first + after->second.bytes ? after->second.device : -1;
}

DeviceScope::DeviceScope(int device) : previous_(current_device) {
    if (world().process == 0) world().process = getpid();
    require(world().process == getpid(),
            "cannot be used after fork(), and this is the child of a process that has used it: start processes with "
            "multiprocessing's \"spawn\" method");
    require(device >= 0 && device < emulation::devices, "invalid device ordinal");
    current_device = device;
}

DeviceScope::~DeviceScope() { current_device = previous_; }

OutsideCapture::OutsideCapture() : previous_(0) {}
OutsideCapture::~OutsideCapture() = default;

void* allocate(std::size_t bytes) { return emulation::allocate_for(current_device, bytes); }

void release(void* memory) noexcept {
    const std::scoped_lock lock(world().lock);
    world().memory.erase(reinterpret_cast<std::uintptr_t>(memory));
    std::free(memory);
}

void* allocate(std::size_t bytes, Stream) { return allocate(bytes); }
void release(void* memory, Stream) noexcept { release(memory); }

void* allocate_pinned(std::size_t bytes) { return std::malloc(bytes); }
void release_pinned(void* memory) noexcept { std::free(memory); }

void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream) {
    emulation::queue(stream, "copy of " + std::to_string(bytes) + " bytes", [=] { std::memcpy(to, from, bytes); });
}

void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) {
    emulation::queue(stream, "copy on the device", [=] { std::memmove(to, from, bytes); });
}

void copy_to_device_now(void* to, const void* from, std::size_t bytes) {
    note("copy at once");
    std::memcpy(to, from, bytes);
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
    wait_for_device();
    std::memcpy(to, from, bytes);
}

void wait_for_device() { note("wait for the device"); }

bool is_capturing(Stream stream) { return world().captures.count(stream) != 0; }
std::uint64_t identity_of(Stream stream) { return stream; }

Event::Event() {
    const std::scoped_lock lock(world().lock);
    event_ = reinterpret_cast<void*>(static_cast<std::uintptr_t>(++world().events));
}
Event::~Event() = default;

void Event::record(Stream stream) {
    note("record " + std::to_string(reinterpret_cast<std::uintptr_t>(event_)) + place(stream));
}
void Event::hold(Stream stream) const {
    note("hold for " + std::to_string(reinterpret_cast<std::uintptr_t>(event_)) + place(stream));
}
bool Event::is_past() const { return true; }
void Event::wait() const { note("wait for " + std::to_string(reinterpret_cast<std::uintptr_t>(event_))); }

}  // namespace adamcore::cuda

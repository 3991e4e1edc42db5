#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// What the engine asks of CUDA, and no more: the tests put host memory in its place (cuda/emulation).
namespace adamcore::cuda {

/// A cudaStream_t: 0 or 1 is the legacy default stream, 2 the thread's own.
using Stream = std::uintptr_t;

/// CUDA has refused something.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The number of devices; 0, and then the `reason`, where there is no driver or no device.
int device_count(std::string* reason = nullptr) noexcept;
std::string device_name(int device);
/// Raises Error, which says what to do, unless this build has kernels for the device.
void require_kernels(int device);

/// Whose memory this is, or -1 if it is no device's.
int device_of(const void* memory);

/// Makes a device the current one, as long as it lives. Raises Error in a child made by fork() after CUDA was used.
class DeviceScope {
public:
    explicit DeviceScope(int device);
    ~DeviceScope();
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

private:
    int previous_;
};

/// As long as it lives, what this thread does does not count as part of a graph that is being captured.
class OutsideCapture {
public:
    OutsideCapture();
    ~OutsideCapture();
    OutsideCapture(const OutsideCapture&) = delete;
    OutsideCapture& operator=(const OutsideCapture&) = delete;

private:
    int previous_;
};

void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
/// In the order of a stream, which waits for neither.
void* allocate(std::size_t bytes, Stream stream);
void release(void* memory, Stream stream) noexcept;
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* memory) noexcept;

/// Queued on a stream; `from` must be pinned, and stay until it has been read.
void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream);
/// At once, on no one's stream.
void copy_to_device_now(void* to, const void* from, std::size_t bytes);
/// When all that is queued on the device is done.
void copy_to_host(void* to, const void* from, std::size_t bytes);
void wait_for_device();

bool is_capturing(Stream stream);
/// Tells streams apart that have the same handle one after the other.
std::uint64_t identity_of(Stream stream);

/// A point in a stream.
class Event {
public:
    Event();
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(Stream stream);
    /// What is queued on `stream` from now on comes after it.
    void hold(Stream stream) const;
    bool is_past() const;
    /// On the host.
    void wait() const;

private:
    void* event_;
};

/// As long as it lives, work queued on `stream` comes after what `others` have, and what they get later comes after it.
class Ordered {
public:
    Ordered(int device, Stream stream, std::vector<Stream> others)
        : scope_(device), stream_(stream), others_(std::move(others)) {
        for (const Stream other : others_) {
            event_.record(other);
            event_.hold(stream_);
        }
    }
    ~Ordered() noexcept(false) {
        if (others_.empty()) return;
        event_.record(stream_);
        for (const Stream other : others_) event_.hold(other);
    }
    Ordered(const Ordered&) = delete;
    Ordered& operator=(const Ordered&) = delete;

private:
    DeviceScope scope_;
    Event event_;
    Stream stream_;
    std::vector<Stream> others_;
};

}  // namespace adamcore::cuda

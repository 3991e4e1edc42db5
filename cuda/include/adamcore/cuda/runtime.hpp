#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// The part of CUDA that the engine uses. Tests replace it with an implementation on host memory (cuda/emulation).
namespace adamcore::cuda {

/// A cudaStream_t. 0 and 1 are the legacy default stream, and 2 is the default stream of the thread.
using Stream = std::uintptr_t;

/// A call of CUDA failed, or is not allowed.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The number of devices. It is 0, with a `reason`, if there is no driver or no device.
int device_count(std::string* reason = nullptr) noexcept;
std::string device_name(int device);
/// Raises Error, which says what to do, unless this build has kernels for the device.
void require_kernels(int device);

/// The device that owns this memory, or -1 if none does.
int device_of(const void* memory);

/// Makes a device current during its lifetime. Raises Error in a child created by fork() after CUDA was used.
class DeviceScope {
public:
    explicit DeviceScope(int device);
    ~DeviceScope();
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

private:
    int previous_;
};

/// During its lifetime, calls of this thread are not part of a graph that is being captured.
class OutsideCapture {
public:
    OutsideCapture() noexcept;
    ~OutsideCapture();
    OutsideCapture(const OutsideCapture&) = delete;
    OutsideCapture& operator=(const OutsideCapture&) = delete;

private:
    int previous_;
};

void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
/// Allocate and release in the order of a stream, without waiting.
void* allocate(std::size_t bytes, Stream stream);
void release(void* memory, Stream stream) noexcept;
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* memory) noexcept;

/// Queue a copy on a stream. `from` must be pinned, and must stay valid until it has been read.
void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream);
/// Copies immediately, on a separate stream.
void copy_to_device_now(void* to, const void* from, std::size_t bytes);
class Event;
/// Copies on a separate stream, after the work before the last recording of `after`. It waits for nothing else, and may
/// be called while streams are being captured.
void copy_to_host(void* to, const void* from, std::size_t bytes, const Event& after);
void wait_for_device();

/// Whether work that is queued on a stream becomes part of a CUDA graph.
enum class Capturing : std::uint8_t {
    no,
    yes,
    forbidden,  ///< the legacy default stream, which must not be used while a stream that blocks it is captured
};
Capturing capturing_of(Stream stream);
/// Raises Error if the stream must not be used.
bool is_capturing(Stream stream);
/// Identifies the capture of a stream that is being captured.
std::uint64_t capture_of(Stream stream);
/// Distinguishes streams that use the same handle one after the other. The stream must not be captured at the time: CUDA
/// would refuse to tell, and invalidate the capture.
std::uint64_t identity_of(Stream stream);

/// A point in a stream.
class Event {
public:
    Event();
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(Stream stream);
    /// Makes work that is queued on `stream` from now on wait for the event.
    void hold(Stream stream) const;
    /// The same on a stream that is being captured: each launch of the graph acts as if this were called then.
    void record_at_each_replay(Stream stream);
    void hold_at_each_replay(Stream stream) const;
    bool is_past() const;
    /// Waits on the host.
    void wait() const;

private:
    void* event_;
};

/// Orders work between streams. Work queued on `stream` between the construction and finish() comes after the work that
/// `others` have, and work queued on them later comes after it.
class Ordered {
public:
    Ordered(int device, Stream stream, std::vector<Stream> others)
        : scope_(device), stream_(stream), others_(std::move(others)) {
        if (others_.empty()) return;
        event_.emplace();
        for (const Stream other : others_) {
            event_->record(other);
            event_->hold(stream_);
        }
    }
    /// If finish() was not called because of an error, this makes the others wait too, if possible.
    ~Ordered() {
        try {
            finish();
        } catch (const Error&) {  // another error is under way
        }
    }
    Ordered(const Ordered&) = delete;
    Ordered& operator=(const Ordered&) = delete;

    void finish() {
        const std::vector<Stream> others = std::exchange(others_, {});
        if (others.empty()) return;
        event_->record(stream_);
        for (const Stream other : others) event_->hold(other);
    }

private:
    DeviceScope scope_;
    std::optional<Event> event_;
    Stream stream_;
    std::vector<Stream> others_;
};

}  // namespace adamcore::cuda

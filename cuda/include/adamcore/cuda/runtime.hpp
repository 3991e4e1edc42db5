#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
/// At once, on a stream of its own.
void copy_to_device_now(void* to, const void* from, std::size_t bytes);
class Event;
/// On a stream of its own, when what `after` was last recorded behind is done. It waits for nothing else, and may be
/// called while streams are captured.
void copy_to_host(void* to, const void* from, std::size_t bytes, const Event& after);
void wait_for_device();

/// Whether what is queued on a stream becomes part of a CUDA graph.
enum class Capturing : std::uint8_t {
    no,
    yes,
    forbidden,  ///< it is the legacy default stream, which nobody may use while a stream that blocks it is captured
};
Capturing capturing_of(Stream stream);
/// Raises Error where the stream must not be used.
bool is_capturing(Stream stream);
/// Tells captures apart: of a stream that is captured.
std::uint64_t capture_of(Stream stream);
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
    /// The same on a stream that is captured: each time the graph is launched, as if it were called then.
    void record_at_each_replay(Stream stream);
    void hold_at_each_replay(Stream stream) const;
    bool is_past() const;
    /// On the host.
    void wait() const;

private:
    void* event_;
};

/// Work that is queued on `stream` between the construction and finish() comes after what `others` have, and what they
/// get later comes after it.
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
    /// Without finish(), where an error came first, the others are held too if that is possible.
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

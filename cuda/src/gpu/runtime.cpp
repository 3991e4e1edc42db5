#include "adamcore/cuda/runtime.hpp"

#include <cuda_runtime_api.h>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

namespace adamcore::cuda {

/// Whether the build contains code that the device can run (probe.cu).
bool has_kernels(int device);

namespace {

void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    cudaGetLastError();
    const char* const hint = status == cudaErrorInitializationError
                                 ? "; CUDA cannot be used in a child made by fork(): start processes with "
                                   "multiprocessing's \"spawn\" method"
                                 : "";
    throw Error(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status) + " (" +
                cudaGetErrorName(status) + ")" + hint);
}

cudaStream_t handle_of(Stream stream) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<cudaStream_t>(stream);
}

cudaEvent_t handle_of(void* event) { return static_cast<cudaEvent_t>(event); }

/// The id of the process that has used CUDA, or 0.
std::atomic<long>& user() {
    static std::atomic<long> process{0};
    return process;
}

long process_id() {
#if defined(_WIN32)
    return 1;
#else
    return static_cast<long>(getpid());
#endif
}

/// CUDA's state does not survive fork(). Calls in a child fail with errors that do not say so.
void require_own_process() {
    long expected = 0;
    if (!user().compare_exchange_strong(expected, process_id()) && expected != process_id())
        throw Error(
            "CUDA cannot be used after fork() in the child of a process that has used it: start processes with "
            "multiprocessing's \"spawn\" method");
}

}  // namespace

int device_count(std::string* reason) noexcept {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess) return count;
    cudaGetLastError();
    if (reason) *reason = cudaGetErrorString(status);
    return 0;
}

std::string device_name(int device) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "asking for a device's name");
    return properties.name;
}

int device_of(const void* memory) {
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
        cudaGetLastError();
        return -1;
    }
    const bool is_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
    return is_device ? attributes.device : -1;
}

void require_kernels(int device) {
    if (has_kernels(device)) return;
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "asking for a device's architecture");
    throw Error("CUDA: this build of adamcore has no kernels for " + std::string(properties.name) +
                ", of compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                " (adamcore.build_info()['cuda_architectures'] lists those that it " +
                "has); build it with ADAMCORE_CUDA_ARCHITECTURES=" + std::to_string(properties.major) +
                std::to_string(properties.minor));
}

DeviceScope::DeviceScope(int device) : previous_(-1) {
    require_own_process();
    int current = 0;
    check(cudaGetDevice(&current), "asking for the current device");
    if (current == device) return;
    check(cudaSetDevice(device), "making a device current");
    previous_ = current;
}

DeviceScope::~DeviceScope() {
    if (previous_ >= 0) cudaSetDevice(previous_);
}

/// It fails only where all calls do, and the next one tells.
OutsideCapture::OutsideCapture() noexcept : previous_(cudaStreamCaptureModeRelaxed) {
    auto mode = static_cast<cudaStreamCaptureMode>(previous_);
    if (cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess) previous_ = static_cast<int>(mode);
}

OutsideCapture::~OutsideCapture() {
    auto mode = static_cast<cudaStreamCaptureMode>(previous_);
    cudaThreadExchangeStreamCaptureMode(&mode);
}

void* allocate(std::size_t bytes) {
    const OutsideCapture outside;
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "allocating memory on the device");
    return memory;
}

void release(void* memory) noexcept {
    cudaFree(memory);
    cudaGetLastError();  // at the end of the process the driver may already be gone
}

void* allocate(std::size_t bytes, Stream stream) {
    void* memory = nullptr;
    const cudaError_t status = cudaMallocAsync(&memory, bytes, handle_of(stream));
    if (status == cudaErrorNotSupported) {  // a device without memory pools, as some virtual ones are
        cudaGetLastError();
        return allocate(bytes);
    }
    check(status, "allocating memory on the device");
    return memory;
}

void release(void* memory, Stream stream) noexcept {
    if (cudaFreeAsync(memory, handle_of(stream)) != cudaSuccess) cudaFree(memory);  // not of a pool
    cudaGetLastError();
}

void* allocate_pinned(std::size_t bytes) {
    const OutsideCapture outside;
    void* memory = nullptr;
    check(cudaMallocHost(&memory, bytes), "allocating pinned memory");
    return memory;
}

void release_pinned(void* memory) noexcept {
    cudaFreeHost(memory);
    cudaGetLastError();
}

void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, handle_of(stream)), "a copy to the device");
}

void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle_of(stream)), "a copy on the device");
}

namespace {

/// Streams of a device that wait for no other stream, for copies that the host waits for. They are created once and
/// never destroyed, because the driver may be gone when the process ends.
class CopyStreams {
public:
    static CopyStreams& of_current_device() {
        int device = 0;
        check(cudaGetDevice(&device), "asking for the current device");
        static std::mutex lock;
        static auto& all = *new std::map<int, CopyStreams>();
        const std::scoped_lock hold(lock);
        return all[device];
    }

    cudaStream_t take() {
        {
            const std::scoped_lock hold(lock_);
            if (!free_.empty()) {
                const cudaStream_t stream = free_.back();
                free_.pop_back();
                return stream;
            }
        }
        cudaStream_t stream = nullptr;
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
        return stream;
    }
    void give_back(cudaStream_t stream) {
        const std::scoped_lock hold(lock_);
        free_.push_back(stream);
    }

private:
    std::mutex lock_;
    std::vector<cudaStream_t> free_;
};

/// Copies on a stream that has no other work, and waits for the copy.
void copy_now(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, const Event* after) {
    const OutsideCapture outside;
    CopyStreams& streams = CopyStreams::of_current_device();
    const cudaStream_t stream = streams.take();
    // After an error the stream is not used again.
    if (after) after->hold(reinterpret_cast<Stream>(stream));
    check(cudaMemcpyAsync(to, from, bytes, kind, stream), "a copy");
    check(cudaStreamSynchronize(stream), "waiting for a copy");
    streams.give_back(stream);
}

}  // namespace

void copy_to_device_now(void* to, const void* from, std::size_t bytes) {
    copy_now(to, from, bytes, cudaMemcpyHostToDevice, nullptr);
}

void copy_to_host(void* to, const void* from, std::size_t bytes, const Event& after) {
    copy_now(to, from, bytes, cudaMemcpyDeviceToHost, &after);
}

void wait_for_device() { check(cudaDeviceSynchronize(), "waiting for the device"); }

Capturing capturing_of(Stream stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t answer = cudaStreamIsCapturing(handle_of(stream), &status);
    if (answer == cudaErrorStreamCaptureImplicit) {
        cudaGetLastError();
        return Capturing::forbidden;
    }
    check(answer, "asking whether a stream is captured");
    return status == cudaStreamCaptureStatusNone ? Capturing::no : Capturing::yes;
}

std::uint64_t capture_of(Stream stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    unsigned long long identity = 0;
    check(cudaStreamGetCaptureInfo(handle_of(stream), &status, &identity), "asking which capture a stream is in");
    return identity;
}

std::uint64_t identity_of(Stream stream) {
    unsigned long long identity = 0;
    check(cudaStreamGetId(handle_of(stream), &identity), "asking for a stream's identity");
    return identity;
}

Event::Event() {
    const OutsideCapture outside;
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    event_ = event;
}

Event::~Event() {
    const OutsideCapture outside;
    cudaEventDestroy(handle_of(event_));
}

void Event::record(Stream stream) {
    check(cudaEventRecord(handle_of(event_), handle_of(stream)), "recording an event");
}

void Event::hold(Stream stream) const {
    check(cudaStreamWaitEvent(handle_of(stream), handle_of(event_), 0), "waiting for an event");
}

void Event::record_at_each_replay(Stream stream) {
    check(cudaEventRecordWithFlags(handle_of(event_), handle_of(stream), cudaEventRecordExternal),
          "recording an event in a graph");
}

void Event::hold_at_each_replay(Stream stream) const {
    check(cudaStreamWaitEvent(handle_of(stream), handle_of(event_), cudaEventWaitExternal),
          "waiting for an event in a graph");
}

void Event::wait() const {
    const OutsideCapture outside;
    check(cudaEventSynchronize(handle_of(event_)), "waiting for an event");
}

bool Event::is_past() const {
    const OutsideCapture outside;
    const cudaError_t status = cudaEventQuery(handle_of(event_));
    if (status == cudaErrorNotReady) {
        cudaGetLastError();
        return false;
    }
    check(status, "asking for an event");
    return true;
}

}  // namespace adamcore::cuda

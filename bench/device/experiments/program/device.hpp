#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/kernel.hpp"

/// What is asked of CUDA, each call checked; and the same on the host, where there is no device.
namespace adamcore::experiments {

/// Throws std::runtime_error that names the call, unless it succeeded.
void must(cudaError_t status, const std::string& call);

enum class On { host, device };

/// Memory that is freed at the end.
class Buffer {
public:
    Buffer() = default;
    Buffer(On where, std::size_t bytes);
    ~Buffer() { release(); }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    std::byte* data() const { return data_; }
    std::size_t size() const { return bytes_; }
    void write(const std::vector<std::byte>& from);
    std::vector<std::byte> read() const;
    void clear();

private:
    void swap(Buffer& other) noexcept;
    void release() noexcept;

    On where_ = On::host;
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
};

/// Queues `blocks` blocks on the stream of all work here. A `dependent` kernel may begin before the one in front of it
/// has ended.
void launch(const Kernel& kernel, std::int64_t blocks, const void* arguments, bool dependent = false);
/// The same at once on the host.
void run_on_host(const Kernel& kernel, std::int64_t blocks, const void* arguments);

cudaStream_t work_stream();
void wait_for_device(const std::string& what);

class Event {
public:
    Event() { must(cudaEventCreate(&event_), "cudaEventCreate"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record() { must(cudaEventRecord(event_, work_stream()), "cudaEventRecord"); }
    void wait() { must(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
    double seconds_since(const Event& other) const;

private:
    cudaEvent_t event_{};
};

struct DeviceFacts {
    std::string name;
    int major = 0, minor = 0, multiprocessors = 0, driver = 0, runtime = 0;
    std::size_t memory = 0, cache = 0;
};

/// Of device 0, which is used. False where there is none; `reason` says why.
bool find_device(DeviceFacts& facts, std::string& reason);

struct KernelFacts {
    int registers, blocks;  ///< blocks that fit a multiprocessor
    std::size_t local, shared;
};

KernelFacts facts_of(const Kernel& kernel);

}  // namespace adamcore::experiments

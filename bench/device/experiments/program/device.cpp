#include "program/device.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

namespace adamcore::experiments {

void must(cudaError_t status, const std::string& call) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // what can be forgotten is not found by the next call
    throw std::runtime_error(call + " failed: " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")");
}

Buffer::Buffer(On where, std::size_t bytes) : where_(where), bytes_(bytes) {
    constexpr std::size_t alignment = 256;
    const std::size_t whole = (bytes + alignment - 1) / alignment * alignment + alignment;
    if (where == On::device) {
        void* memory = nullptr;
        must(cudaMalloc(&memory, whole), "cudaMalloc of " + std::to_string(whole) + " bytes");
        data_ = static_cast<std::byte*>(memory);
    } else {
        data_ = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
        if (!data_) throw std::bad_alloc();
    }
}

void Buffer::swap(Buffer& other) noexcept {
    std::swap(where_, other.where_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
}

void Buffer::release() noexcept {
    if (where_ == On::device) {
        cudaFree(data_);
    } else {
        std::free(data_);
    }
}

void Buffer::write(const std::vector<std::byte>& from) {
    if (from.size() > bytes_) throw std::logic_error("more is written than a buffer holds");
    if (where_ == On::device) {
        must(cudaMemcpy(data_, from.data(), from.size(), cudaMemcpyHostToDevice), "cudaMemcpy to the device");
    } else {
        std::memcpy(data_, from.data(), from.size());
    }
}

std::vector<std::byte> Buffer::read() const {
    std::vector<std::byte> found(bytes_);
    if (bytes_ == 0) return found;
    if (where_ == On::device) {
        must(cudaMemcpy(found.data(), data_, bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy from the device");
    } else {
        std::memcpy(found.data(), data_, bytes_);
    }
    return found;
}

void Buffer::clear() {
    if (bytes_ == 0) return;
    if (where_ == On::device) {
        must(cudaMemset(data_, 0, bytes_), "cudaMemset");
    } else {
        std::memset(data_, 0, bytes_);
    }
}

cudaStream_t work_stream() {
    static cudaStream_t stream = [] {
        cudaStream_t made{};
        must(cudaStreamCreate(&made), "cudaStreamCreate");
        return made;
    }();
    return stream;
}

void launch(const Kernel& kernel, std::int64_t blocks, const void* arguments, bool dependent) {
    if (blocks == 0) return;
    if (blocks < 0 || blocks > std::numeric_limits<std::int32_t>::max())
        throw std::logic_error("a grid of " + std::to_string(blocks) + " blocks");
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(kernel.threads));
    config.stream = work_stream();
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &attribute;
    config.numAttrs = dependent ? 1 : 0;
    void* pointers[] = {const_cast<void*>(arguments)};
    must(cudaLaunchKernelExC(&config, kernel.function, pointers), "cudaLaunchKernelExC");
}

void run_on_host(const Kernel& kernel, std::int64_t blocks, const void* arguments) {
    if (!kernel.on_host) throw std::logic_error("a kernel that does not run on the host");
    for (std::int64_t block = 0; block < blocks; ++block) kernel.on_host(arguments, block);
}

void wait_for_device(const std::string& what) { must(cudaDeviceSynchronize(), "cudaDeviceSynchronize after " + what); }

double Event::seconds_since(const Event& other) const {
    float milliseconds = 0;
    must(cudaEventElapsedTime(&milliseconds, other.event_, event_), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
}

bool find_device(DeviceFacts& facts, std::string& reason) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
        reason = status == cudaSuccess ? "none is visible" : cudaGetErrorString(status);
        cudaGetLastError();
        return false;
    }
    must(cudaSetDevice(0), "cudaSetDevice");
    cudaDeviceProp properties{};
    must(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    facts.name = properties.name;
    facts.major = properties.major;
    facts.minor = properties.minor;
    facts.multiprocessors = properties.multiProcessorCount;
    facts.memory = properties.totalGlobalMem;
    facts.cache = static_cast<std::size_t>(properties.l2CacheSize);
    must(cudaDriverGetVersion(&facts.driver), "cudaDriverGetVersion");
    must(cudaRuntimeGetVersion(&facts.runtime), "cudaRuntimeGetVersion");
    return true;
}

KernelFacts facts_of(const Kernel& kernel) {
    cudaFuncAttributes found{};
    must(cudaFuncGetAttributes(&found, kernel.function), "cudaFuncGetAttributes");
    int blocks = 0;
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel.function, kernel.threads, 0),
         "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    return {found.numRegs, blocks, found.localSizeBytes, found.sharedSizeBytes};
}

}  // namespace adamcore::experiments

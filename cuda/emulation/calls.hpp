#pragma once

#include <cuda_runtime_api.h>

#include "world.hpp"

namespace adamcore::cuda::emulation {

inline Stream handle_of(cudaStream_t stream) { return reinterpret_cast<Stream>(stream); }
// NOLINTNEXTLINE(performance-no-int-to-ptr)
inline cudaStream_t handle_of(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }

/// The error that cudaGetLastError() will return.
cudaError_t& last_error();

/// One call of CUDA's API. It calls `f` with the lock held, unless a fault of this kind has been injected.
template <class F>
cudaError_t call(const char* kind, F&& f) noexcept {
    try {
        auto hold = World::hold();
        World::get().fault_point(kind);
        f(World::get(), hold);
        return cudaSuccess;
    } catch (const Failure& failure) {
        return last_error() = failure.code;
    }
}

}  // namespace adamcore::cuda::emulation

#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/runtime.hpp"

/// Turns kernel bodies into kernels.
namespace adamcore::cuda {

template <class Body>
__global__ void __launch_bounds__(threads, Body::resident) alone(const __grid_constant__ typename Body::Arguments a) {
    Body::run(a, {static_cast<std::int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)});
}

template <class Body>
__global__ void __launch_bounds__(threads, Body::resident)
    in_phases(const __grid_constant__ typename Body::Arguments a) {
    __shared__ typename Body::Shared shared;
    const Place place{static_cast<std::int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)};
    const int phases = Body::phases(a, place);
    for (int phase = 0; phase < phases; ++phase) {
        if (phase > 0) __syncthreads();
        Body::run(a, place, phase, shared);
    }
}

namespace detail {

inline void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    cudaGetLastError();
    throw Error(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status) + " (" +
                cudaGetErrorName(status) + ")");
}

template <class Body, void (*kernel)(typename Body::Arguments)>
void launch(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    void* pointers[] = {const_cast<typename Body::Arguments*>(&arguments)};
    check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(blocks)), dim3(threads),
                           pointers, 0, reinterpret_cast<cudaStream_t>(stream)),
          "starting a kernel");
}

template <class Body, void (*kernel)(typename Body::Arguments)>
void load() {
    const OutsideCapture outside;
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)), "loading a kernel");
}

}  // namespace detail

/// A kernel whose threads do not communicate.
template <class Body>
inline constexpr Launch<typename Body::Arguments> kernel_alone{detail::launch<Body, alone<Body>>,
                                                               detail::load<Body, alone<Body>>};

/// A kernel whose blocks run in phases.
template <class Body>
inline constexpr Launch<typename Body::Arguments> kernel_in_phases{detail::launch<Body, in_phases<Body>>,
                                                                   detail::load<Body, in_phases<Body>>};

}  // namespace adamcore::cuda

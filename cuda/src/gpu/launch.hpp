#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/runtime.hpp"

/// Bodies made kernels.
namespace adamcore::cuda {

template <class Body>
__global__ void __launch_bounds__(threads, Body::resident) alone(const typename Body::Arguments arguments) {
    Body::run(arguments, {static_cast<std::int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)});
}

template <class Body>
__global__ void __launch_bounds__(threads) in_phases(const typename Body::Arguments arguments) {
    __shared__ typename Body::Shared shared;
    const Place place{static_cast<std::int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)};
    const int phases = Body::phases(arguments, place);
    for (int phase = 0; phase < phases; ++phase) {
        if (phase > 0) __syncthreads();
        Body::run(arguments, place, phase, shared);
    }
}

namespace detail {

template <class Arguments>
void launch(void (*kernel)(Arguments), std::int64_t blocks, const Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    void* pointers[] = {const_cast<Arguments*>(&arguments)};
    const cudaError_t status =
        cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(blocks)), dim3(threads),
                         pointers, 0, reinterpret_cast<cudaStream_t>(stream));
    if (status == cudaSuccess) return;
    cudaGetLastError();
    throw Error(std::string("CUDA: starting a kernel failed: ") + cudaGetErrorString(status) + " (" +
                cudaGetErrorName(status) + ")");
}

}  // namespace detail

/// Starts a kernel whose threads know nothing of each other.
template <class Body>
void launch_alone(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    detail::launch<typename Body::Arguments>(alone<Body>, blocks, arguments, stream);
}

/// Starts a kernel whose blocks go through phases.
template <class Body>
void launch_in_phases(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    detail::launch<typename Body::Arguments>(in_phases<Body>, blocks, arguments, stream);
}

}  // namespace adamcore::cuda

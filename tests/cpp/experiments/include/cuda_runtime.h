#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

/// The parts of CUDA's language and runtime that bench/device/experiments uses, for a C++ compiler that checks types. The
/// runtime's other parts are the emulation's. Nothing is linked, and code for devices alone (__CUDA_ARCH__) is not seen.

#define __CUDACC__
#define __host__
#define __device__
#define __global__
#define __shared__
#define __grid_constant__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y = 1, z = 1;

    explicit dim3(unsigned count) : x(count) {}
};

extern const dim3 gridDim, blockDim, blockIdx, threadIdx;
void __syncthreads();
unsigned long long atomicAdd(unsigned long long* number, unsigned long long term);

struct cudaFuncAttributes {};
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function);
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream);

cudaError_t cudaEventCreate(cudaEvent_t* event);

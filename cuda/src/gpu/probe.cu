#include "adamcore/cuda/runtime.hpp"

namespace adamcore::cuda {

bool has_kernels(int device);

namespace {

__global__ void nothing() {}

}  // namespace

bool has_kernels(int device) {
    const DeviceScope scope(device);
    const OutsideCapture outside;
    cudaFuncAttributes attributes;
    const bool found = cudaFuncGetAttributes(&attributes, nothing) == cudaSuccess;
    if (!found) cudaGetLastError();
    return found;
}

}  // namespace adamcore::cuda

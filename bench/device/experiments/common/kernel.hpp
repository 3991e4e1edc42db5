#pragma once

#include <cstdint>
#include <memory>

#include "common/table.hpp"

/// Kernels made of functions of a place. The same functions run on the host, thread after thread, which is how variants
/// are compared on a machine without a GPU.
namespace adamcore::experiments {

/// A kernel without its type.
struct Kernel {
    const void* function = nullptr;
    int threads = 0;
    /// Runs one block on the host; null where its threads must run at the same time.
    void (*on_host)(const void* arguments, std::int64_t block) = nullptr;
};

/// Programmatic dependent launch: waits until the grids before this one are complete and what they wrote is seen.
ADAMCORE_FN void await_previous_grid() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next grid begin, as soon as all blocks have said so.
ADAMCORE_FN void release_next_grid() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#if defined(__CUDACC__)

ADAMCORE_FN Place here() {
#if defined(__CUDA_ARCH__)
    return {static_cast<std::int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)};
#else
    return {};
#endif
}

template <class Body>
__global__ void __launch_bounds__(Body::threads, Body::resident) alone(const typename Body::Arguments arguments) {
    Body::run(arguments, here());
}

/// Threads of a block meet after each phase.
template <class Body>
__global__ void __launch_bounds__(Body::threads, Body::resident) in_phases(const typename Body::Arguments arguments) {
    __shared__ typename Body::Shared shared;
    const Place place = here();
    const int phases = Body::phases(arguments, place);
    for (int phase = 0; phase < phases; ++phase) {
        if (phase > 0) __syncthreads();
        Body::run(arguments, place, phase, shared);
    }
}

/// Threads of a warp tell each other something on the way.
template <class Body>
__global__ void __launch_bounds__(Body::threads, Body::resident) by_warps(const typename Body::Arguments arguments) {
    __shared__ typename Body::Shared shared;
    Body::run(arguments, here(), shared);
}

template <class Body>
Kernel kernel_alone() {
    return {reinterpret_cast<const void*>(&alone<Body>), Body::threads, [](const void* arguments, std::int64_t block) {
                const auto& typed = *static_cast<const typename Body::Arguments*>(arguments);
                for (int thread = 0; thread < Body::threads; ++thread) Body::run(typed, {block, thread});
            }};
}

template <class Body>
Kernel kernel_in_phases() {
    return {reinterpret_cast<const void*>(&in_phases<Body>), Body::threads,
            [](const void* arguments, std::int64_t block) {
                const auto& typed = *static_cast<const typename Body::Arguments*>(arguments);
                const auto shared = std::make_unique<typename Body::Shared>();
                const int phases = Body::phases(typed, {block, 0});
                for (int phase = 0; phase < phases; ++phase) {
                    for (int thread = 0; thread < Body::threads; ++thread)
                        Body::run(typed, {block, thread}, phase, *shared);
                }
            }};
}

template <class Body>
Kernel kernel_by_warps() {
    return {reinterpret_cast<const void*>(&by_warps<Body>), Body::threads, nullptr};
}

#endif

}  // namespace adamcore::experiments

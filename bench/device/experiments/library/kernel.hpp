#pragma once

#include <launch.hpp>

#include <cstdint>
#include <memory>

#include "common/kernel.hpp"

/// The library's own kernels: what ships, beside the experiments' copies of what was.
namespace adamcore::experiments::library {

template <class Body>
Kernel kernel_alone() {
    return {reinterpret_cast<const void*>(&cuda::alone<Body>), cuda::threads,
            [](const void* arguments, std::int64_t block) {
                const auto& typed = *static_cast<const typename Body::Arguments*>(arguments);
                for (int thread = 0; thread < cuda::threads; ++thread) Body::run(typed, {block, thread});
            }};
}

template <class Body>
Kernel kernel_in_phases() {
    return {reinterpret_cast<const void*>(&cuda::in_phases<Body>), cuda::threads,
            [](const void* arguments, std::int64_t block) {
                const auto& typed = *static_cast<const typename Body::Arguments*>(arguments);
                const auto shared = std::make_unique<typename Body::Shared>();
                const int phases = Body::phases(typed, {block, 0});
                for (int phase = 0; phase < phases; ++phase) {
                    for (int thread = 0; thread < cuda::threads; ++thread)
                        Body::run(typed, {block, thread}, phase, *shared);
                }
            }};
}

}  // namespace adamcore::experiments::library

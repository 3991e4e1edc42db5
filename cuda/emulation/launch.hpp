#pragma once

#include <cstring>
#include <memory>
#include <type_traits>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "emulation.hpp"

/// Runs kernels on the CPU: every thread of every block, one after the other.
namespace adamcore::cuda {

namespace emulation {

/// Calls `f(i)` for each i in [0, count), forwards or backwards.
template <class F>
void for_each_in_turn(std::int64_t count, F&& f) {
    for (std::int64_t i = 0; i < count; ++i) f(runs_backwards() ? count - 1 - i : i);
}

/// Shared memory at the start of a block: full of what other blocks have left.
template <class Shared>
std::unique_ptr<Shared> uninitialized() {
    static_assert(std::is_trivially_destructible_v<Shared>);
    auto shared = std::make_unique<Shared>();
    std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(Shared));
    return shared;
}

template <class Body>
void launch_alone(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    queue(stream, "kernel", [blocks, arguments] {
        const cpu::FloatEnvironment environment;  // a device has its own
        for_each_in_turn(blocks, [&](std::int64_t block) {
            for_each_in_turn(threads, [&](std::int64_t thread) {
                Body::run(arguments, {block, static_cast<int>(thread)});
            });
        });
    });
}

template <class Body>
void launch_in_phases(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    queue(stream, "kernel", [blocks, arguments] {
        const cpu::FloatEnvironment environment;  // a device has its own
        for_each_in_turn(blocks, [&](std::int64_t block) {
            const auto shared = uninitialized<typename Body::Shared>();
            const int phases = Body::phases(arguments, {block, 0});
            for (int phase = 0; phase < phases; ++phase) {
                for_each_in_turn(threads, [&](std::int64_t thread) {
                    Body::run(arguments, {block, static_cast<int>(thread)}, phase, *shared);
                });
            }
        });
    });
}

inline void load_nothing() {}

}  // namespace emulation

template <class Body>
inline constexpr Launch<typename Body::Arguments> kernel_alone{emulation::launch_alone<Body>, emulation::load_nothing};

template <class Body>
inline constexpr Launch<typename Body::Arguments> kernel_in_phases{emulation::launch_in_phases<Body>,
                                                                   emulation::load_nothing};

}  // namespace adamcore::cuda

#pragma once

#include <memory>

#include "adamcore/cuda/kernels.hpp"
#include "emulation.hpp"

/// Bodies run on the CPU: every thread of every block, one after the other.
namespace adamcore::cuda {

namespace emulation {

/// Calls `f(i)` for each i in [0, count), forwards or backwards.
template <class F>
void for_each_in_turn(std::int64_t count, F&& f) {
    for (std::int64_t i = 0; i < count; ++i) f(runs_backwards() ? count - 1 - i : i);
}

}  // namespace emulation

template <class Body>
void launch_alone(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    emulation::queue(stream, "kernel", [blocks, arguments] {
        emulation::for_each_in_turn(blocks, [&](std::int64_t block) {
            emulation::for_each_in_turn(threads, [&](std::int64_t thread) {
                Body::run(arguments, {block, static_cast<int>(thread)});
            });
        });
    });
}

template <class Body>
void launch_in_phases(std::int64_t blocks, const typename Body::Arguments& arguments, Stream stream) {
    if (blocks == 0) return;
    emulation::queue(stream, "kernel", [blocks, arguments] {
        emulation::for_each_in_turn(blocks, [&](std::int64_t block) {
            const auto shared = std::make_unique<typename Body::Shared>();
            const int phases = Body::phases(arguments, {block, 0});
            for (int phase = 0; phase < phases; ++phase) {
                emulation::for_each_in_turn(threads, [&](std::int64_t thread) {
                    Body::run(arguments, {block, static_cast<int>(thread)}, phase, *shared);
                });
            }
        });
    });
}

}  // namespace adamcore::cuda

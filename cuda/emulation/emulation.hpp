#pragma once

#include <functional>
#include <string>
#include <vector>

#include "adamcore/cuda/runtime.hpp"

/// A CUDA of host memory, for tests: what is queued happens at once, thread after thread, or is kept where a stream is
/// captured. Two devices, so that one can be the wrong one.
namespace adamcore::cuda::emulation {

inline constexpr int devices = 2;

/// In which order threads of a block, and blocks, take their turns: results may not depend on it.
void run_backwards(bool backwards);
bool runs_backwards();

/// From now on what is queued is forgotten: what is left is the host's part.
void pretend(bool pretends);

/// Does `work`, or keeps it if the stream is captured; `what` goes to the log.
void queue(Stream stream, const std::string& what, std::function<void()> work);

/// From now on what is queued on `stream` is kept.
void begin_capture(Stream stream);
/// What was kept, to be done any number of times.
std::function<void()> end_capture(Stream stream);

/// What has been queued, recorded and held since the last call.
std::vector<std::string> take_log();

/// Memory of a device that an array library, not the engine, would own.
void* allocate_for(int device, std::size_t bytes);

/// How many allocations there are.
std::size_t live_allocations();

}  // namespace adamcore::cuda::emulation

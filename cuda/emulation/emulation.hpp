#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adamcore/cuda/runtime.hpp"

/// A CUDA of host memory, for tests. Streams are queues whose work is done later, in any order that CUDA allows: when
/// somebody waits for it, or a little of it whenever something is queued. Two devices, so that one can be the wrong one.
namespace adamcore::cuda::emulation {

inline constexpr int devices = 2;

/// In which order threads of a block, and blocks, take their turns: results may not depend on it.
void run_backwards(bool backwards);
bool runs_backwards();

/// When queued work is done.
enum class Schedule : std::uint8_t {
    eager,   ///< at once, where the order of streams allows it
    lazy,    ///< only when somebody waits, and then no more than is waited for
    random,  ///< some of it at any time
};
void set_schedule(Schedule schedule, std::uint32_t seed);

/// From now on what is queued is forgotten: what is left is the host's part.
void pretend(bool pretends);

/// The current device of this thread.
void set_device(int device);
int current_device();

/// A stream of the current device. A blocking one waits for the legacy stream, which waits for it.
Stream make_stream(bool blocking);

/// Queues `work` on a stream, or keeps it if the stream is captured; `what` goes to the log.
void queue(Stream stream, const std::string& what, std::function<void()> work);
/// Queues a function of the host, which a thread of CUDA's calls.
void queue_callback(Stream stream, std::function<void()> work);
/// Keeps a stream busy for so long.
void queue_delay(Stream stream, double milliseconds);

void synchronize();
void synchronize(Stream stream);

/// In order of strictness, as CUDA has them.
enum class CaptureMode : std::uint8_t { global, thread_local_only, relaxed };

struct Graph;

void begin_capture(Stream stream, CaptureMode mode = CaptureMode::relaxed);
/// What was kept. Raises Error if the capture has been spoiled.
std::shared_ptr<const Graph> end_capture(Stream stream);
void launch(const std::shared_ptr<const Graph>& graph, Stream stream);

/// What has been queued, recorded, held and waited for since the last call.
std::vector<std::string> take_log();

/// Memory of a device that an array library, not the engine, would own.
void* allocate_for(int device, std::size_t bytes);
/// Gives it back in the order of a stream, as a pool's memory is used again.
void release_on(void* memory, Stream stream);
/// From now on this memory of the host counts as a device's.
void adopt(const void* memory, std::size_t bytes, int device);
void forget(const void* memory);

/// How many allocations there are.
std::size_t live_allocations();

/// The `nth` call from now on of this kind fails: "allocate", "launch", "copy", "event", "stream", "wait" or "any". After a sticky
/// failure all calls fail, until the faults are cleared.
void inject_fault(const std::string& kind, int nth, bool sticky);
/// Returns whether the fault that was injected has happened.
bool clear_faults();

}  // namespace adamcore::cuda::emulation

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adamcore/cuda/runtime.hpp"

/// An emulation of CUDA on host memory, for tests. Streams are queues. Their work runs later, in any order that CUDA
/// allows: when somebody waits for it, or a little whenever something is queued. There are two devices, so that tests
/// can use the wrong one.
namespace adamcore::cuda::emulation {

inline constexpr int devices = 2;

/// The order in which the blocks, and the threads of a block, run. Results must not depend on it.
void run_backwards(bool backwards);
bool runs_backwards();

/// When queued work runs.
enum class Schedule : std::uint8_t {
    eager,   ///< at once, where the order of streams allows it
    lazy,    ///< only when somebody waits, and then no more than is waited for
    random,  ///< some of it at any time
};
void set_schedule(Schedule schedule, std::uint32_t seed);

/// From now on queued work is discarded, so that only the host's part remains.
void pretend(bool pretends);

/// The current device of this thread.
void set_device(int device);
int current_device();

/// A stream of the current device. A blocking stream and the legacy stream wait for each other.
Stream make_stream(bool blocking);

/// Queues `work` on a stream, or adds it to the graph if the stream is captured. `what` goes to the log.
void queue(Stream stream, const std::string& what, std::function<void()> work);
/// Queues a host function, which a thread of CUDA calls.
void queue_callback(Stream stream, std::function<void()> work);
/// Keeps a stream busy for this long.
void queue_delay(Stream stream, double milliseconds);

void synchronize();
void synchronize(Stream stream);

/// In order of strictness, as in CUDA.
enum class CaptureMode : std::uint8_t { global, thread_local_only, relaxed };

struct Graph;

void begin_capture(Stream stream, CaptureMode mode = CaptureMode::relaxed);
/// The captured graph. Raises Error if the capture has been invalidated.
std::shared_ptr<const Graph> end_capture(Stream stream);
void launch(const std::shared_ptr<const Graph>& graph, Stream stream);

/// Everything that has been queued, recorded, held and waited for since the last call.
std::vector<std::string> take_log();

/// Memory of a device that belongs to an array library and not to the engine.
void* allocate_for(int device, std::size_t bytes);
/// Releases it in the order of a stream, after which it is reused like a pool's memory.
void release_on(void* memory, Stream stream);
/// From now on this host memory counts as memory of a device.
void adopt(const void* memory, std::size_t bytes, int device);
void forget(const void* memory);

/// The number of live allocations.
std::size_t live_allocations();

/// Makes the `nth` call of this kind from now on fail: "allocate", "launch", "copy", "event", "stream", "wait" or
/// "any". After a sticky failure all calls fail until the faults are cleared.
void inject_fault(const std::string& kind, int nth, bool sticky);
/// Returns whether the injected fault has happened.
bool clear_faults();

}  // namespace adamcore::cuda::emulation

#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "emulation.hpp"

/// The state of the emulation. Tests use emulation.hpp instead.
namespace adamcore::cuda::emulation {

using Clock = std::chrono::steady_clock;

/// A queued operation. It runs after all operations in `after`, at some later time.
struct Operation {
    std::function<void()> work;
    std::vector<std::shared_ptr<Operation>> after;
    Clock::duration delay{};
    Clock::time_point ready{};  ///< when a delay is over, once it has begun
    bool running = false, done = false;
};
using Queued = std::shared_ptr<Operation>;

struct EventState;

/// A node of a graph. It comes after other nodes and, at each launch, after the latest recording of an event.
struct Node {
    std::string what;
    std::shared_ptr<const std::function<void()>> work;
    std::set<std::size_t> after;
    std::shared_ptr<EventState> waits_for, records;
};

struct Graph {
    std::vector<Node> nodes;
    mutable Queued last_launch;
};

struct Capture {
    std::uint64_t number = 0;
    CaptureMode mode = CaptureMode::relaxed;
    Stream origin = 0;
    std::uint64_t thread = 0;
    bool spoiled = false, ended = false;
    std::shared_ptr<Graph> graph = std::make_shared<Graph>();
};

/// The position of a stream in a capture: the nodes that precede the next one.
struct Captured {
    std::shared_ptr<Capture> capture;
    std::set<std::size_t> frontier;
};

struct StreamState {
    int device = 0;
    bool blocking = true;
    bool legacy = false;
    Queued last;
    std::optional<Captured> captured;
};

struct EventState {
    std::uint64_t number = 0;
    Queued recorded;
    std::optional<Captured> captured;
};

struct Allocation {
    std::size_t bytes;
    int device;
    bool adopted;
};

/// Everything, behind one lock that must be held for access to any member. Work runs without the lock, on the thread
/// that waits for it.
class World {
public:
    using Hold = std::unique_lock<std::mutex>;

    static World& get();
    static Hold hold() { return Hold(get().lock); }

    std::mutex lock;
    std::map<std::uintptr_t, Allocation> memory, pinned;
    std::deque<std::string> log;  ///< its latest entries
    bool backwards = false, pretends = false;
    std::uint64_t events = 0, captures_begun = 0;

    /// A stream's state. Handles 0 and 1 are the current device's legacy stream, 2 this thread's default one.
    StreamState& stream(Stream handle);
    Stream add_stream(bool blocking);
    /// Distinguishes streams.
    std::uint64_t identity(Stream handle);

    void note(const std::string& what);
    /// Queues an operation, or adds it to the capture of the stream.
    void queue(Hold& hold, Stream stream, const std::string& what, std::function<void()> work,
               Clock::duration delay = {});
    /// Queues an operation after the last one of a stream and after `after`.
    Queued append(Hold& hold, StreamState& state, std::function<void()> work, std::vector<Queued> after = {},
                  Clock::duration delay = {});
    /// Queues an operation after `after` only.
    Queued add(std::function<void()> work, std::vector<Queued> after, Clock::duration delay = {});
    /// Runs queued operations until `target` is done, or until all are done if it is null.
    void run_until(Hold& hold, const Queued& target);
    void set_schedule(Schedule schedule, std::uint32_t seed);

    /// Adds a node to the capture of `stream`.
    std::size_t add_node(StreamState& stream, Node node);
    /// Fails and invalidates the capture if a capture does not allow a call that may be unsafe in it.
    void require_safe_call();
    /// The same for a use of the legacy stream.
    void require_legacy_is_free(const StreamState& stream);
    /// The same for a call that waits for a whole device.
    void require_no_capture();
    bool is_captured_anywhere();
    template <class F>
    void for_each_stream(F&& f) {
        for (auto& [key, state] : streams_) f(state);
    }
    /// The capture of a blocking stream of this device, or null.
    Capture* blocking_capture(int device);

    /// Fails if a fault has been injected.
    void fault_point(const char* kind);

    std::vector<std::weak_ptr<Capture>> captures;
    struct Fault {
        std::string kind;
        int left = 0;
        bool sticky = false, happened = false;
    } fault;

private:
    static bool is_ready(Operation& operation, Clock::time_point now);
    Queued pick(const Queued& target);
    void run(Hold& hold, const Queued& operation);
    void some_progress(Hold& hold);

    std::map<std::pair<std::uint64_t, int>, StreamState> streams_;
    Stream next_stream_ = 1000;
    std::vector<Queued> pending_;
    std::condition_variable changed_;
    Schedule schedule_ = Schedule::random;
    std::mt19937 random_{20150507};
};

/// How this thread's calls interact with captures, as in cudaThreadExchangeStreamCaptureMode.
CaptureMode& thread_mode();
std::uint64_t thread_number();

/// A call of CUDA's API that returns an error.
struct Failure : Error {
    explicit Failure(cudaError_t failed);
    cudaError_t code;
};
[[noreturn]] void fail(cudaError_t code);
std::string place(Stream stream);

}  // namespace adamcore::cuda::emulation

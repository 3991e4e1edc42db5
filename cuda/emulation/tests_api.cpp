// The functions that tests call.

#include <thread>

#include "calls.hpp"
#include "world.hpp"

namespace adamcore::cuda::emulation {

void run_backwards(bool backwards) { World::get().backwards = backwards; }
bool runs_backwards() { return World::get().backwards; }

void set_schedule(Schedule schedule, std::uint32_t seed) {
    const auto hold = World::hold();
    World::get().set_schedule(schedule, seed);
}

void pretend(bool pretends) { World::get().pretends = pretends; }

Stream make_stream(bool blocking) {
    const auto hold = World::hold();
    return World::get().add_stream(blocking);
}

void queue(Stream stream, const std::string& what, std::function<void()> work) {
    // If this call fails, the work is destroyed after the lock has been released, because Python functions need the GIL
    // then.
    const auto kept = std::make_shared<const std::function<void()>>(std::move(work));
    auto hold = World::hold();
    World::get().fault_point("launch");
    World::get().queue(hold, stream, what, [kept] { (*kept)(); });
}

/// Another thread calls it, as in CUDA. A caller that waits for it while holding what it needs waits forever.
void queue_callback(Stream stream, std::function<void()> work) {
    queue(stream, "callback", [work = std::move(work)] { std::thread(work).join(); });
}

void queue_delay(Stream stream, double milliseconds) {
    auto hold = World::hold();
    const std::chrono::duration<double, std::milli> delay(milliseconds);
    World::get().queue(hold, stream, "delay", {}, std::chrono::duration_cast<Clock::duration>(delay));
}

namespace {

void require(cudaError_t status) {
    if (status != cudaSuccess) fail(status);
}

}  // namespace

void synchronize() { require(cudaDeviceSynchronize()); }
void synchronize(Stream stream) { require(cudaStreamSynchronize(handle_of(stream))); }

std::vector<std::string> take_log() {
    const auto hold = World::hold();
    const auto log = std::exchange(World::get().log, {});
    return {log.begin(), log.end()};
}

void inject_fault(const std::string& kind, int nth, bool sticky) {
    const auto hold = World::hold();
    World::get().fault = {kind, nth, sticky, false};
}

bool clear_faults() {
    const auto hold = World::hold();
    return std::exchange(World::get().fault, {}).happened;
}

}  // namespace adamcore::cuda::emulation

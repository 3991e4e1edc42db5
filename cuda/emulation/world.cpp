#include "world.hpp"

#include <algorithm>
#include <atomic>

namespace adamcore::cuda::emulation {
namespace {

/// The number of operations that may be queued before the caller has to wait, as a launch queue of CUDA has about a
/// thousand.
constexpr std::size_t most_pending = 1000;

thread_local int device_of_thread = 0;
/// The number of operations that this thread is running: Python may collect garbage in one, and so wait for the device.
thread_local int depth = 0;

bool comes_before(const Operation& operation, const Operation* later, std::set<const Operation*>& seen) {
    if (!seen.insert(later).second) return false;
    return std::any_of(later->after.begin(), later->after.end(), [&](const Queued& each) {
        return each.get() == &operation || comes_before(operation, each.get(), seen);
    });
}

}  // namespace

World& World::get() {
    static World& world = *new World;  // threads of tests may outlive main()
    return world;
}

CaptureMode& thread_mode() {
    thread_local CaptureMode mode = CaptureMode::global;
    return mode;
}

std::uint64_t thread_number() {
    static std::atomic<std::uint64_t> count{0};
    thread_local const std::uint64_t number = ++count;
    return number;
}

std::string place(Stream stream) { return " on stream " + std::to_string(stream); }

void set_device(int device) { device_of_thread = device; }
int current_device() { return device_of_thread; }

std::uint64_t World::identity(Stream handle) {
    if (handle > 2) return handle;
    return handle == 2 ? (thread_number() << 32) + 2 : 1;
}

StreamState& World::stream(Stream handle) {
    const auto device = handle > 2 ? 0 : current_device();
    const auto [found, is_new] = streams_.try_emplace({identity(handle), device});
    if (is_new) {
        if (handle > 2) fail(cudaErrorInvalidValue);
        found->second.device = device;
        found->second.legacy = handle < 2;
    }
    return found->second;
}

Stream World::add_stream(bool blocking) {
    const Stream handle = ++next_stream_;
    StreamState& state = streams_[{handle, 0}];
    state.device = current_device();
    state.blocking = blocking;
    return handle;
}

void World::note(const std::string& what) {
    constexpr std::size_t most = 100'000;
    if (pretends) return;
    log.push_back(what);
    if (log.size() > most) log.pop_front();
}

void World::set_schedule(Schedule schedule, std::uint32_t seed) {
    schedule_ = schedule;
    random_.seed(seed);
}

Queued World::add(std::function<void()> work, std::vector<Queued> after, Clock::duration delay) {
    auto operation = std::make_shared<Operation>();
    operation->work = std::move(work);
    operation->delay = delay;
    for (Queued& each : after) {
        if (each && !each->done) operation->after.push_back(std::move(each));
    }
    pending_.push_back(operation);
    return operation;
}

Queued World::append(Hold& hold, StreamState& state, std::function<void()> work, std::vector<Queued> after,
                     Clock::duration delay) {
    after.push_back(state.last);
    for (auto& [key, other] : streams_) {
        const bool is_ordered = state.legacy ? other.blocking && !other.legacy : state.blocking && other.legacy;
        if (is_ordered && other.device == state.device) after.push_back(other.last);
    }
    const Queued operation = add(std::move(work), std::move(after), delay);
    state.last = operation;
    while (pending_.size() > most_pending) run_until(hold, pending_.front());
    some_progress(hold);
    return operation;
}

void World::queue(Hold& hold, Stream handle, const std::string& what, std::function<void()> work,
                  Clock::duration delay) {
    if (pretends) return;
    StreamState& state = stream(handle);
    require_legacy_is_free(state);
    note(what + place(handle));
    if (state.captured) {
        add_node(state, {what, std::make_shared<const std::function<void()>>(std::move(work)), {}, nullptr, nullptr});
    } else {
        append(hold, state, std::move(work), {}, delay);
    }
}

bool World::is_ready(Operation& operation, Clock::time_point now) {
    if (operation.running ||
        !std::all_of(operation.after.begin(), operation.after.end(), [](const Queued& each) { return each->done; }))
        return false;
    operation.after.clear();
    if (operation.delay == Clock::duration{}) return true;
    if (operation.ready == Clock::time_point{}) operation.ready = now + operation.delay;
    return operation.ready <= now;
}

/// An operation that can run now. With a target, one of those that it waits for, with equal chances. Null if there is
/// none.
Queued World::pick(const Queued& target) {
    const auto now = Clock::now();
    std::vector<Queued> ready;
    for (const Queued& each : pending_) {
        if (is_ready(*each, now)) ready.push_back(each);
    }
    const bool narrows = target && (schedule_ == Schedule::lazy || random_() % 2 == 0);
    if (narrows) {
        std::vector<Queued> needed;
        for (const Queued& each : ready) {
            std::set<const Operation*> seen;
            if (each == target || comes_before(*each, target.get(), seen)) needed.push_back(each);
        }
        ready = std::move(needed);
    }
    return ready.empty() ? nullptr : ready[random_() % ready.size()];
}

void World::run(Hold& hold, const Queued& operation) {
    operation->running = true;
    {
        // Destroyed before the lock is taken again: Python functions need the GIL, whose holder may wait for the lock.
        const std::function<void()> work = std::exchange(operation->work, nullptr);
        hold.unlock();
        ++depth;
        if (work) work();
        --depth;
    }
    hold.lock();
    operation->done = true;
    pending_.erase(std::find(pending_.begin(), pending_.end(), operation));
    changed_.notify_all();
}

void World::run_until(Hold& hold, const Queued& target) {
    while (target ? !target->done : !pending_.empty()) {
        if (const Queued next = pick(target)) {
            run(hold, next);
        } else if (depth > 0) {
            return;  // the rest waits for what this thread is running
        } else {
            changed_.wait_for(hold, std::chrono::milliseconds(1));  // another thread's turn, or a delay
        }
    }
}

void World::some_progress(Hold& hold) {
    if (schedule_ == Schedule::lazy) return;
    const std::size_t most = schedule_ == Schedule::eager ? pending_.size() : random_() % 3;
    for (std::size_t k = 0; k < most; ++k) {
        const Queued next = pick(nullptr);
        if (!next) return;
        run(hold, next);
    }
}

void World::fault_point(const char* kind) {
    if (fault.happened && fault.sticky) fail(cudaErrorIllegalAddress);
    if (fault.left == 0 || *kind == 0 || (fault.kind != kind && fault.kind != "any")) return;
    if (--fault.left > 0) return;
    fault.happened = true;
    fail(fault.sticky ? cudaErrorIllegalAddress : cudaErrorMemoryAllocation);
}

}  // namespace adamcore::cuda::emulation

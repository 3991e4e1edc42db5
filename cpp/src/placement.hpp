#pragma once

#include <chrono>

#include "worker_thread.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#endif

namespace adamcore::cpu {

#if defined(__linux__)

/// A set of processors, with room for as many as Linux supports.
class ProcessorSet {
public:
    ProcessorSet() { CPU_ZERO_S(sizeof words_, words_); }

    /// Reads the processors that a thread may currently use. 0 is the calling thread, and a process's id is its first
    /// thread. The set is empty if this cannot be determined.
    void take_from(pid_t thread) noexcept {
        if (sched_getaffinity(thread, sizeof words_, words_) != 0) CPU_ZERO_S(sizeof words_, words_);
    }

    bool empty() const { return CPU_COUNT_S(sizeof words_, words_) == 0; }
    void add(const ProcessorSet& other) { CPU_OR_S(sizeof words_, words_, words_, other.words_); }
    void remove(int processor) { CPU_CLR_S(static_cast<std::size_t>(processor), sizeof words_, words_); }
    bool give_to(pthread_t thread) const { return pthread_setaffinity_np(thread, sizeof words_, words_) == 0; }

    friend bool operator==(const ProcessorSet& a, const ProcessorSet& b) {
        return std::memcmp(a.words_, b.words_, sizeof a.words_) == 0;
    }

private:
    static constexpr std::size_t most = 8192;
    cpu_set_t words_[most / CPU_SETSIZE];
};

/// Where workers may run: on the processors that the stepping thread or the first thread of the process may use at the
/// time of the step.
///
/// Linux has a mask for each thread and none for a process. The mask of the thread that created a worker says little:
/// that thread may be pinned, or no longer be pinned. With the first thread's mask, the workers of a pinned thread get
/// the processors that it leaves free. If the whole process has been taken off a processor, the processor is in neither
/// mask.
class Placement {
public:
    /// The last placement of a worker.
    struct Place {
        unsigned version = 0;
        int kept_off = -1;
    };

    /// Called by the thread that is about to step. Reading the masks takes a quarter of a microsecond, so it is done at
    /// most once per millisecond.
    void look_now_and_then() noexcept {
        const auto now = std::chrono::steady_clock::now();
        if (version_ != 0 && now - looked_ < std::chrono::milliseconds(1)) return;
        looked_ = now;
        look();
    }

    bool is_outdated(const Place& place) const { return place.version != version_; }

    /// Allows a worker to run on the current processors, except the calling thread's if there is another.
    ///
    /// Linux tends to wake a thread on the processor of the waking thread. There it waits for that thread, which works
    /// on the same job, while another processor idles. Milliseconds pass before the load is balanced, and by then the
    /// step is over.
    void put(const WorkerThread& worker, Place& place) noexcept {
        const int here = sched_getcpu();
        if (here == place.kept_off && !is_outdated(place)) return;
        look();  // so that nobody is placed by an outdated mask
        others_ = allowed_;
        if (here >= 0) others_.remove(here);
        if (others_.empty()) others_ = allowed_;
        if (!others_.empty() && others_.give_to(worker.handle())) place = {version_, here};
    }

private:
    void look() noexcept {
        now_.take_from(0);
        others_.take_from(process_);
        now_.add(others_);
        if (version_ != 0 && now_ == allowed_) return;
        allowed_ = now_;
        ++version_;
    }

    pid_t process_ = getpid();
    ProcessorSet allowed_, now_, others_;  ///< the latter two are temporary, but take a kilobyte each
    unsigned version_ = 0;                 ///< counts the changes of `allowed_`; 0: not looked yet
    std::chrono::steady_clock::time_point looked_;
};

#else

class Placement {
public:
    struct Place {};

    void look_now_and_then() noexcept {}
    bool is_outdated(const Place&) const { return false; }
    void put(const WorkerThread&, Place&) noexcept {}
};

#endif

}  // namespace adamcore::cpu

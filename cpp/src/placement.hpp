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

/// Processors, as many as Linux can have.
class ProcessorSet {
public:
    ProcessorSet() { CPU_ZERO_S(sizeof words_, words_); }

    /// Takes those that a thread may use now, 0 being the calling one and a process's number its first; none if that
    /// cannot be known.
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

/// Where workers may run: wherever the thread that steps may, or the process's first thread, at the time of the step.
///
/// Linux keeps a mask for each thread and none for a process. That of the thread which made a worker says little: it may
/// be pinned, or be pinned no longer. With the first thread's, a worker of a pinned thread's step has the processors that
/// are left to the others; and where the whole process has been taken off a processor, it is in neither mask.
class Placement {
public:
    /// What a worker was told last.
    struct Place {
        unsigned version = 0;
        int kept_off = -1;
    };

    /// By the thread that is about to step. Asking costs a quarter of a microsecond, so it is done once in a while.
    void look_now_and_then() noexcept {
        const auto now = std::chrono::steady_clock::now();
        if (version_ != 0 && now - looked_ < std::chrono::milliseconds(1)) return;
        looked_ = now;
        look();
    }

    bool is_outdated(const Place& place) const { return place.version != version_; }

    /// Puts a worker where it may run now, but for the calling thread's processor if there is another.
    ///
    /// Linux likes to wake a thread on its waker's processor. There it waits for the waker, which is at work on the very
    /// job, while another processor idles; milliseconds pass before the load is balanced, and by then the step is over.
    void put(const WorkerThread& worker, Place& place) noexcept {
        const int here = sched_getcpu();
        if (here == place.kept_off && !is_outdated(place)) return;
        look();  // nobody is moved to where the process was an instant ago
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
    ProcessorSet allowed_, now_, others_;  ///< the latter two of a moment's use, but a kilobyte each
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

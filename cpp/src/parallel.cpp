#include "adamcore/cpu/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "placement.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define ADAMCORE_HAS_FORK 1
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace adamcore::cpu {
namespace {

std::atomic<bool> forked{false};

#if defined(ADAMCORE_HAS_FORK)
const int registered = pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
#endif

inline void pause() noexcept {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// The most threads that work on one job.
constexpr int max_threads = 256;

/// Parts that threads claim until none is left, each from a range of its own first, so that a thread meets the same
/// memory in every step, and then from the others'.
class Job {
public:
    Job(int parts, int threads, PartBody body, void* context)
        : threads_(std::min(threads, max_threads)), body_(body), context_(context) {
        for (int i = 0; i < threads_; ++i) {
            ranges_[i].next.store(part_at(parts, i), std::memory_order_relaxed);
            ranges_[i].end = part_at(parts, i + 1);
        }
    }

    int threads() const { return threads_; }

    void work(int thread) noexcept {
        for (int i = 0; i < threads_; ++i) {
            Range& range = ranges_[(thread + i) % threads_];
            for (int part; (part = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;)
                body_(context_, part);
        }
    }

private:
    struct alignas(64) Range {
        std::atomic<int> next{0};
        int end = 0;
    };

    int part_at(int parts, int thread) const {
        return static_cast<int>(static_cast<std::int64_t>(parts) * thread / threads_);
    }

    int threads_;
    PartBody body_;
    void* context_;
    Range ranges_[max_threads];
};

/// Threads that sleep between jobs. The caller of run() works too, and waits only for those that have begun: a thread
/// that gets no processor, because another library's threads spin there, delays nobody.
///
/// Nobody takes a lock on the way in or out: a lock that is held for a moment puts the other side to sleep, and waking
/// takes as long as many a step.
class ThreadPool {
public:
    /// False, without having done anything, while another thread's job is running.
    bool run(Job& job) {
        const std::unique_lock<std::mutex> alone(running_, std::try_to_lock);
        if (!alone.owns_lock()) return false;
        while (started_ < job.threads() - 1 && start_worker()) {
        }
        job_.store(&job);
        for (int i = 0; i < std::min(started_, job.threads() - 1); ++i) call(workers_[i]);
        job.work(0);
        job_.store(nullptr);
        wait_for_those_inside();
        return true;
    }

private:
    struct Worker {
        std::atomic<std::uint64_t> calls{0};
        std::atomic<bool> asleep{false};
        std::mutex mutex;
        std::condition_variable wake;
        std::optional<Placement> placement;  ///< set before the worker first sleeps
    };

    static void call(Worker& worker) {
        worker.calls.fetch_add(1);
        if (!worker.asleep.load()) return;
        {
            const std::lock_guard<std::mutex> lock(worker.mutex);  // it is waiting now, or has seen the call
            worker.placement->keep_off_this_processor();
        }
        worker.wake.notify_one();
    }

    /// A worker says that it is inside before it looks for the job, and the job is gone before this looks for workers:
    /// in the one order that all threads see, whoever has found the job is found here.
    void wait_for_those_inside() {
        for (int i = 0; inside_.load() != 0; ++i) {
            if (i < 4096) {
                pause();
            } else {
                std::this_thread::yield();  // it has been held up, perhaps for want of this processor
            }
        }
    }

    /// False where the system gives no more threads; those there are, the caller at least, do the work.
    bool start_worker() {
        const int number = started_;
        try {
            std::thread([this, number] { live(number); }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        ++started_;
        return true;
    }

    void live(int number) {
        Worker& self = workers_[number];
        self.placement.emplace();
        for (std::uint64_t seen = 0;;) {
            seen = next_call(self, seen);
            inside_.fetch_add(1);
            Job* job = job_.load();
            if (job && number + 1 < job->threads()) job->work(number + 1);  // else it came too late
            inside_.fetch_sub(1);
        }
    }

    /// Waits for a call after the one `seen`: awake for a moment, since steps often follow each other, then asleep.
    static std::uint64_t next_call(Worker& self, std::uint64_t seen) {
        const auto until = std::chrono::steady_clock::now() + awake;
        do {
            for (int i = 0; i < 32; ++i) {
                if (const auto now = self.calls.load(); now != seen) return now;
                pause();
            }
        } while (std::chrono::steady_clock::now() < until);
        std::unique_lock<std::mutex> lock(self.mutex);
        self.asleep.store(true);
        self.wake.wait(lock, [&] { return self.calls.load() != seen; });
        self.asleep.store(false);
        return self.calls.load();
    }

    static constexpr std::chrono::microseconds awake{50};

    std::mutex running_;  ///< held by the thread whose job runs
    int started_ = 0;     ///< guarded by running_
    std::atomic<Job*> job_{nullptr};
    std::atomic<int> inside_{0};
    Worker workers_[max_threads];
};

/// Never destroyed: its threads sleep until the process ends.
ThreadPool& thread_pool() {
    static auto* pool = new ThreadPool;
    return *pool;
}

}  // namespace

bool is_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

void run_on_threads(int parts, int threads, PartBody body, void* context) noexcept {
    if (parts > 1 && threads > 1 && !is_forked_child()) {
        Job job(parts, threads, body, context);
        if (thread_pool().run(job)) return;
    }
    for (int part = 0; part < parts; ++part) body(context, part);
}

}  // namespace adamcore::cpu

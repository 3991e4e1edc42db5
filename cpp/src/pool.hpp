#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "job.hpp"
#include "placement.hpp"
#include "worker_thread.hpp"

#if defined(ADAMCORE_HAS_PTHREADS)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace adamcore::cpu {

inline void pause() noexcept {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// Threads that sleep between jobs. The caller of run() works too, and waits only for threads that have started. So a
/// thread that gets no processor, because another library's threads spin there, delays nobody.
///
/// Entering and leaving a job takes no lock. A lock held even briefly puts the other thread to sleep, and waking it
/// takes as long as many steps do.
class ThreadPool {
public:
    /// Returns false, without having done anything, while another thread's job is running.
    bool run(int parts, int threads, PartBody body, void* context) noexcept {
        if (running_.exchange(true, std::memory_order_acquire)) return false;
        job_.begin(parts, threads, body, context);
        while (started_ < job_.threads() - 1 && start_worker()) {
        }
        placement_.look_now_and_then();
        open_.store(true);
        for (int i = 0; i < std::min(started_, job_.threads() - 1); ++i) call(workers_[i]);
        job_.work(0);
        open_.store(false);
        wait_for_those_inside();
        running_.store(false, std::memory_order_release);
        return true;
    }

#if defined(ADAMCORE_HAS_PTHREADS)
    /// Ends the threads before their code is unloaded or the process ends. No job may follow.
    ///
    /// Does nothing in a child created by fork(), which has no threads. Does nothing while a job runs: running code is
    /// not unloaded, so the process must be ending, and waiting for the job could deadlock with the thread that ends
    /// the process.
    void stop() noexcept {
        if (getpid() != process_ || running_.exchange(true, std::memory_order_acquire)) return;
        stopping_.store(true);
        for (int i = 0; i < started_; ++i) {
            Worker& worker = workers_[i];
            worker.calls.fetch_add(1);
            { const std::lock_guard<std::mutex> lock(worker.mutex); }  // it is waiting now, or has seen the call
            worker.wake.notify_one();
        }
        for (int i = 0; i < started_; ++i) workers_[i].thread.join();
    }
#endif

private:
    struct Worker {
        std::atomic<std::uint64_t> calls{0};
        std::atomic<bool> asleep{false};
        std::mutex mutex;
        std::condition_variable wake;
        WorkerThread thread;  ///< this and the following members belong to callers of run()
        Placement::Place place;
        ThreadPool* pool = nullptr;
        int number = 0;
    };

    void call(Worker& worker) noexcept {
        worker.calls.fetch_add(1);
        if (!worker.asleep.load()) {
            if (placement_.is_outdated(worker.place)) placement_.put(worker.thread, worker.place);
            return;
        }
        {
            const std::lock_guard<std::mutex> lock(worker.mutex);  // it is waiting now, or has seen the call
            placement_.put(worker.thread, worker.place);
        }
        worker.wake.notify_one();
    }

    /// A worker announces that it is inside before it checks whether the job is open, and the job is closed before this
    /// function checks for workers. All threads see these operations in one order, so a worker that found the job open
    /// is noticed here.
    void wait_for_those_inside() noexcept {
        for (int i = 0; inside_.load() != 0; ++i) {
            if (i < 4096) {
                pause();
            } else {
                std::this_thread::yield();  // it has been held up, perhaps for want of this processor
            }
        }
    }

    /// Returns false if the system provides no more threads. Then the existing ones, at least the caller, do the work.
    bool start_worker() noexcept {
        Worker& worker = workers_[started_];
        worker.pool = this;
        worker.number = started_;
        const auto live = [](void* self) -> void* {
            Worker& me = *static_cast<Worker*>(self);
            WorkerThread::name_this();
            me.pool->live(me);
            return nullptr;
        };
        if (!worker.thread.start(live, &worker)) return false;
        ++started_;
        return true;
    }

    void live(Worker& self) noexcept {
        for (std::uint64_t seen = 0;;) {
            seen = next_call(self, seen);
            if (stopping_.load()) return;
            inside_.fetch_add(1);
            if (open_.load() && self.number + 1 < job_.threads()) job_.work(self.number + 1);  // else it is too late
            inside_.fetch_sub(1);
        }
    }

    /// Waits for a call after call number `seen`: first awake for a moment, because steps often follow each other, then
    /// asleep.
    static std::uint64_t next_call(Worker& self, std::uint64_t seen) noexcept {
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

#if defined(ADAMCORE_HAS_PTHREADS)
    pid_t process_ = getpid();
#endif
    std::atomic<bool> running_{false};  ///< true while a job runs, and after stop()
    int started_ = 0;                   ///< this, placement_ and the closed job belong to the thread that set running_
    Placement placement_;
    Job job_;
    std::atomic<bool> open_{false};
    std::atomic<int> inside_{0};
    std::atomic<bool> stopping_{false};
    Worker workers_[max_threads];
};

}  // namespace adamcore::cpu

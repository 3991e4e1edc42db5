#include "adamcore/cpu/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

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
    static constexpr int max_threads = 256;
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
class ThreadPool {
public:
    /// False, without having done anything, while another thread's job is running.
    bool run(Job& job) {
        const std::unique_lock<std::mutex> alone(running_, std::try_to_lock);
        if (!alone.owns_lock()) return false;
        announce(&job, job.threads());
        job.work(0);
        end();
        return true;
    }

    /// Wakes the workers for a job that comes soon.
    void expect(int threads) { announce(nullptr, threads); }

private:
    void announce(Job* job, int threads) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            while (workers_ < threads - 1 && add_worker()) {
            }
            if (job) job_ = job;
            generation_.fetch_add(1, std::memory_order_release);
        }
        if (sleeping_.load() > 0) wake_.notify_all();
    }

    void end() {
        std::unique_lock<std::mutex> lock(mutex_);
        job_ = nullptr;
        done_.wait(lock, [&] { return inside_ == 0; });
    }

    /// False where the system gives no more threads; those there are, the caller at least, do the work.
    bool add_worker() {
        const int number = workers_ + 1;
        try {
            std::thread([this, number] { live(number); }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        workers_ = number;
        return true;
    }

    void live(int number) {
        for (std::uint64_t seen = 0;;) {
            seen = next_generation(seen);
            std::unique_lock<std::mutex> lock(mutex_);
            Job* job = job_;
            if (!job || number >= job->threads()) continue;
            ++inside_;
            lock.unlock();
            job->work(number);
            lock.lock();
            if (--inside_ == 0) done_.notify_one();
        }
    }

    /// Waits for a job after generation `seen`: awake for a moment, since steps often follow each other, then asleep.
    std::uint64_t next_generation(std::uint64_t seen) {
        const auto until = std::chrono::steady_clock::now() + awake;
        do {
            for (int i = 0; i < 32; ++i) {
                if (const auto now = generation_.load(std::memory_order_acquire); now != seen) return now;
                pause();
            }
        } while (std::chrono::steady_clock::now() < until);
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
        sleeping_.fetch_sub(1);
        return generation_.load();
    }

    static constexpr std::chrono::microseconds awake{50};

    std::mutex running_;  ///< held by the thread whose job runs
    std::mutex mutex_;    ///< guards job_, inside_ and workers_
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    int inside_ = 0;
    int workers_ = 0;
    std::atomic<std::uint64_t> generation_{0};
    std::atomic<int> sleeping_{0};
};

/// Never destroyed: its threads sleep until the process ends.
ThreadPool& thread_pool() {
    static auto* pool = new ThreadPool;
    return *pool;
}

}  // namespace

bool is_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

void expect_parts(int threads) noexcept {
    if (threads > 1 && !is_forked_child()) thread_pool().expect(threads);
}

void run_on_threads(int parts, int threads, PartBody body, void* context) noexcept {
    if (parts > 1 && threads > 1 && !is_forked_child()) {
        Job job(parts, threads, body, context);
        if (thread_pool().run(job)) return;
    }
    for (int part = 0; part < parts; ++part) body(context, part);
}

}  // namespace adamcore::cpu

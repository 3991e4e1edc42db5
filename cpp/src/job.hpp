#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "adamcore/cpu/parallel.hpp"

namespace adamcore::cpu {

/// The maximum number of threads that work on one job.
inline constexpr int max_threads = 256;

/// The parts of a job. Threads claim parts until none is left: first from their own range, so that a thread accesses
/// the same memory in every step, and then from the ranges of others.
///
/// A Job is too large for a stack of 64 KiB or less, which some runtimes give their threads. So the pool owns one, and
/// only the ranges that are used are written.
class Job {
public:
    /// May be called only while no thread works on the job.
    void begin(int parts, int threads, PartBody body, void* context) noexcept {
        threads_ = std::min({threads, parts, max_threads});
        body_ = body;
        context_ = context;
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

    int threads_ = 1;
    PartBody body_ = nullptr;
    void* context_ = nullptr;
    Range ranges_[max_threads];
};

}  // namespace adamcore::cpu

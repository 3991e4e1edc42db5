#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "adamcore/cpu/parallel.hpp"

namespace adamcore::cpu {

/// The most threads that work on one job.
inline constexpr int max_threads = 256;

/// Parts that threads claim until none is left, each from a range of its own first, so that a thread meets the same
/// memory in every step, and then from the others'.
///
/// It is large: too large for a stack of 64 KiB or less, which some runtimes give their threads. So the pool keeps one,
/// and only the ranges that are used are written.
class Job {
public:
    /// While no thread works on it.
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

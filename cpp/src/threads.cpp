#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "adamcore/cpu/parallel.hpp"

#if defined(__linux__)
#include <sched.h>

#include "cgroup.hpp"
#endif

namespace adamcore::cpu {
namespace {

/// The first number of an environment variable such as "4" or "4,2", or 0.
int threads_from(const char* variable) {
    const char* text = std::getenv(variable);
    if (!text) return 0;
    int threads = 0;
    std::from_chars(text, text + std::strlen(text), threads);
    return std::max(threads, 0);
}

int affinity_threads() {
#if defined(__linux__)
    // The mask of a machine with more than 1024 processors needs a larger set.
    for (int processors = 1024; processors <= 1 << 20; processors *= 4) {
        cpu_set_t* set = CPU_ALLOC(processors);
        if (!set) break;
        const std::size_t bytes = CPU_ALLOC_SIZE(processors);
        const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
#endif
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// The processor time that the process may use, in processors, or 0 if it is not limited.
double cgroup_quota() noexcept {
#if defined(__linux__)
    try {
        return cgroup::least_quota_of("/proc/self/cgroup", "/sys/fs/cgroup");
    } catch (const std::bad_alloc&) {
    }
#endif
    return 0;
}

}  // namespace

int usable_threads() noexcept {
    for (const char* variable : {"ADAMCORE_NUM_THREADS", "OMP_NUM_THREADS"}) {
        if (const int threads = threads_from(variable)) return threads;
    }
    const int processors = affinity_threads();
    const double quota = cgroup_quota();
    return quota > 0 ? std::clamp(static_cast<int>(std::ceil(quota)), 1, processors) : processors;
}

}  // namespace adamcore::cpu

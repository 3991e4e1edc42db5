#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "adamcore/cpu/parallel.hpp"

#if defined(__linux__)
#include <sched.h>
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

#if defined(__linux__)

/// quota / period of one cgroup folder, or 0 if it sets no limit.
double quota_of(const std::string& folder) {
    double quota = 0, period = 0;
    if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period) return period > 0 ? quota / period : 0;
    std::ifstream v1_quota(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
    if (v1_quota >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
    return 0;
}

/// The least quota of this process's cgroup and of those above it (cgroup v2, and v1's cpu controller), or 0.
double cgroup_quota() {
    double least = 0;
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
        const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
        for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
            const double quota = quota_of(root + (path == "/" ? "" : path));
            if (quota > 0 && (least == 0 || quota < least)) least = quota;
            if (path.find('/') == std::string::npos) break;
        }
    }
    return least;
}

#else
double cgroup_quota() { return 0; }
#endif

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

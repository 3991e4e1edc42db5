#include "adamcore/cpu/parallel.hpp"

#include <atomic>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define ADAMCORE_HAS_FORK 1
#endif

namespace adamcore::cpu {
namespace {

std::atomic<bool> forked{false};

#if defined(ADAMCORE_HAS_FORK)
// When the library is loaded: threads of another user of the same libgomp are lost in a child just as ours are.
const int registered = pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
#endif

}  // namespace

bool is_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

void openmp_run(int parts, void (*body)(void* context, int part), void* context) noexcept {
#if defined(_OPENMP)
    if (parts > 1 && !is_forked_child()) {
#pragma omp parallel for schedule(static, 1) num_threads(parts)
        for (int part = 0; part < parts; ++part) body(context, part);
        return;
    }
#endif
    for (int part = 0; part < parts; ++part) body(context, part);
}

}  // namespace adamcore::cpu

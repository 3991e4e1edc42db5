#include "adamcore/cpu/parallel.hpp"

#include <atomic>
#include <new>

#include "pool.hpp"

namespace adamcore::cpu {
namespace {

std::atomic<bool> forked{false};

#if defined(ADAMCORE_HAS_PTHREADS)
const int registered = pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
#endif

#if defined(ADAMCORE_HAS_PTHREADS)
struct StopAtUnload {
    ThreadPool& pool;
    ~StopAtUnload() { pool.stop(); }
};
#endif

/// Never destroyed, because other threads may step while the process ends. The program or plugin that contains this
/// code contains its memory too, and ends its threads before it is unloaded.
ThreadPool& thread_pool() {
    alignas(ThreadPool) static unsigned char memory[sizeof(ThreadPool)];
    static auto* pool = new (memory) ThreadPool;
#if defined(ADAMCORE_HAS_PTHREADS)
    static const StopAtUnload stop{*pool};
#endif
    return *pool;
}

}  // namespace

bool is_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

void run_on_threads(int parts, int threads, PartBody body, void* context) noexcept {
    if (parts > 1 && threads > 1 && !is_forked_child() && thread_pool().run(parts, threads, body, context)) return;
    for (int part = 0; part < parts; ++part) body(context, part);
}

}  // namespace adamcore::cpu

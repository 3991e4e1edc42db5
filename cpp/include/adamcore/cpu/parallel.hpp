#pragma once

#include <type_traits>

/// Where the parts of a step run.
///
/// A pool is anything with
///
///     int size() const;                        // how many parts can run at once
///     void run(int parts, Body body) const;    // calls body(0) ... body(parts - 1), in any order, on any threads,
///                                              // and returns when all have; parts may exceed size()
///
/// where Body is a callable that neither throws nor calls run() again. Results do not depend on the pool.
namespace adamcore::cpu {

/// A pool that runs all parts on the calling thread.
struct Serial {
    int size() const { return 1; }

    template <class Body>
    void run(int parts, Body&& body) const {
        for (int part = 0; part < parts; ++part) body(part);
    }
};

using PartBody = void (*)(void* context, int part);

/// Calls `body(context, part)` for every part on `threads` threads of the library, one of which is the calling thread.
/// Runs everything on the calling thread if another thread's parts are running, or in a child created by fork(), which
/// has no other threads. Part of adamcore::kernels.
///
/// The threads block all signals. They run on the processors that the calling thread or the first thread of the process
/// may currently use. They end when the program or plugin that contains this code ends.
void run_on_threads(int parts, int threads, PartBody body, void* context) noexcept;

/// Whether this process was created by fork() after the library was loaded. Part of adamcore::kernels.
bool is_forked_child() noexcept;

/// A pool of `threads` threads of the library. Part of adamcore::kernels.
struct Threads {
    int threads = 1;

    int size() const { return threads; }

    template <class Body>
    void run(int parts, Body&& body) const {
        using Callable = std::remove_reference_t<Body>;
        run_on_threads(
            parts, threads, [](void* context, int part) { (*static_cast<Callable*>(context))(part); },
            const_cast<void*>(static_cast<const void*>(&body)));
    }
};

/// The number of threads that this process may use: ADAMCORE_NUM_THREADS or OMP_NUM_THREADS if one is set, otherwise
/// what its affinity mask and the quota of its cgroup allow. Part of adamcore::kernels.
int usable_threads() noexcept;

}  // namespace adamcore::cpu

#pragma once

#include <type_traits>

/// Where an engine's parts run.
///
/// A pool is anything with
///
///     int size() const;                        // how many parts can run at once
///     void run(int parts, Body body) const;    // calls body(0) ... body(parts - 1), in any order, on any threads,
///                                              // and returns when all have; parts may exceed size()
///
/// where Body is a callable that neither throws nor calls run() again. Results do not depend on the pool.
namespace adamcore::cpu {

/// The calling thread alone.
struct Serial {
    int size() const { return 1; }

    template <class Body>
    void run(int parts, Body&& body) const {
        for (int part = 0; part < parts; ++part) body(part);
    }
};

using PartBody = void (*)(void* context, int part);

/// Calls `body(context, part)` for every part on the library's `threads` threads, the caller's among them. On the
/// calling thread alone while another thread's parts are running, and in a child made by fork(), which has no other.
/// Part of adamcore::kernels.
///
/// The threads block all signals, run where the calling thread or the process's first may run now, and end when the
/// program or plugin that holds this code does.
void run_on_threads(int parts, int threads, PartBody body, void* context) noexcept;

/// Whether this process was made by fork() after the library was loaded. Part of adamcore::kernels.
bool is_forked_child() noexcept;

/// The library's own threads, `threads` of them. Part of adamcore::kernels.
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

/// As many threads as this process may use: its affinity mask and its cgroup's quota, or what
/// ADAMCORE_NUM_THREADS, else OMP_NUM_THREADS, says. Part of adamcore::kernels.
int usable_threads() noexcept;

}  // namespace adamcore::cpu

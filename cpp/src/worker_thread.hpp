#pragma once

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstddef>
#define ADAMCORE_HAS_PTHREADS 1
#else
#include <system_error>
#include <thread>
#endif

namespace adamcore::cpu {

#if defined(ADAMCORE_HAS_PTHREADS)

/// A thread of the pool. It blocks all signals. If the program blocks a signal in its own threads to wait for it, the
/// signal would otherwise go to this thread and end the process.
class WorkerThread {
public:
    using Run = void* (*)(void* context);

    /// Returns false if the system provides no more threads.
    bool start(Run run, void* context) noexcept {
        pthread_attr_t attributes;
        if (pthread_attr_init(&attributes) != 0) return false;
        // The default follows the limit of the first thread's stack, which may be tiny.
        std::size_t stack = 0;
        pthread_attr_getstacksize(&attributes, &stack);
        pthread_attr_setstacksize(&attributes, std::max(stack, least_stack));
        // A thread starts with the mask of its creator. If it blocked signals itself, it would take those that come
        // before.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        const bool started = pthread_create(&thread_, &attributes, run, context) == 0;
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        pthread_attr_destroy(&attributes);
        return started;
    }

    void join() noexcept { pthread_join(thread_, nullptr); }

    pthread_t handle() const { return thread_; }

    /// Names the calling thread, for tools that list the threads of a process.
    static void name_this() noexcept {
#if defined(__linux__)
        pthread_setname_np(pthread_self(), "adamcore");
#elif defined(__APPLE__)
        pthread_setname_np("adamcore");
#endif
    }

private:
    static constexpr std::size_t least_stack = std::size_t{1} << 20;

    pthread_t thread_;
};

#else

/// A thread of the pool.
class WorkerThread {
public:
    using Run = void* (*)(void* context);

    bool start(Run run, void* context) noexcept {
        try {
            std::thread(run, context).detach();
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

    static void name_this() noexcept {}
};

#endif

}  // namespace adamcore::cpu

#pragma once

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace adamcore::cpu {

/// Where a worker thread may run: wherever the process may, but for the processor of the thread that wakes it.
///
/// Linux likes to wake a thread on its waker's processor. There it waits for the waker, which is at work on the very
/// job, while another processor idles; milliseconds pass before the load is balanced, and by then the step is over.
class Placement {
public:
#if defined(__linux__)
    /// For the calling thread, on the processors that it may use now.
    Placement() : thread_(pthread_self()) {
        CPU_ZERO(&allowed_);
        if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
    }

    /// Keeps the thread off the caller's processor, if there is another.
    void keep_off_this_processor() noexcept {
        const int here = sched_getcpu();
        if (here == kept_off_ || here < 0 || here >= CPU_SETSIZE) return;
        cpu_set_t others = allowed_;
        CPU_CLR(here, &others);
        if (CPU_COUNT(&others) == 0) return;
        if (pthread_setaffinity_np(thread_, sizeof others, &others) == 0) kept_off_ = here;
    }

private:
    pthread_t thread_;
    cpu_set_t allowed_;
    int kept_off_ = -1;
#else
    void keep_off_this_processor() noexcept {}
#endif
};

}  // namespace adamcore::cpu

#include "optimizer/exclusive.hpp"

#include <stdexcept>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace adamcore::python {
namespace {

/// The number of times that this process has been the child of a fork().
std::atomic<std::uint32_t> forks{0};

#if defined(__unix__) || defined(__APPLE__)
const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
#endif

}  // namespace

void Use::require_readable(const std::string& owner) const {
    if (busy_.load() && !is_held_here()) refuse(owner);
}

void Use::require_idle(const std::string& owner) const {
    if (busy_.load()) refuse(owner);
}

void Use::refuse(const std::string& owner) const {
    if (forks_.load() != forks.load())
        throw std::runtime_error(
            owner +
            ": the optimizer was being stepped or used in another thread when this process was forked, so its "
            "parameters and state may be only partly updated here. Make a new optimizer in the child, with arrays "
            "loaded from a checkpoint, or fork while no thread is using the optimizer");
    if (thread_.load() == std::this_thread::get_id())
        throw std::runtime_error(
            owner +
            ": the optimizer is in use by the call that this code is part of (for example, a schedule); "
            "do this before or after that call");
    throw std::runtime_error(owner +
                             ": the optimizer is in use by another thread; use a lock if threads share an optimizer");
}

Exclusive::Exclusive(Use& use, const std::string& owner, bool is_holder) : use_(use) {
    if (use_.busy_.exchange(true)) use_.refuse(owner);
    if (use_.reserved_ && !is_holder) {
        const std::string message = owner + ": " + use_.reserved_;
        use_.busy_.store(false, std::memory_order_release);
        throw std::runtime_error(message);
    }
    use_.thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    use_.forks_.store(forks.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

Exclusive::~Exclusive() { use_.busy_.store(false, std::memory_order_release); }

}  // namespace adamcore::python

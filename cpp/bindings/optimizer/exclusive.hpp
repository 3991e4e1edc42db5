#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace adamcore::python {

/// Whether an optimizer is in use, and by which thread.
class Use {
public:
    /// Raises RuntimeError, which starts with `owner`, if another thread uses the optimizer. What the caller reads then
    /// stays valid until it releases the GIL. It does not raise within a schedule, whose step has not changed anything
    /// yet.
    void require_readable(const std::string& owner) const;
    /// Like require_readable(), but raises within a schedule too.
    void require_idle(const std::string& owner) const;
    /// Whether the current thread holds the use, as it does within a schedule.
    bool is_held_here() const { return busy_.load() && thread_.load() == std::this_thread::get_id(); }
    /// Lets no one but its holder use the optimizer, whose error then says `why`; null ends this.
    void reserve(const char* why) noexcept { reserved_ = why; }

private:
    friend class Exclusive;
    [[noreturn]] void refuse(const std::string& owner) const;

    std::atomic<bool> busy_{false};
    std::atomic<std::thread::id> thread_{};
    std::atomic<std::uint32_t> forks_{0};  ///< the number of forks when the use began
    const char* reserved_ = nullptr;       ///< read and written by who has exclusive use
};

/// Gives its creator exclusive use of the optimizer during its lifetime, so that nobody changes or copies lists, state
/// or counts during a step. The constructor raises RuntimeError, which starts with `owner`, if the optimizer is in use.
class Exclusive {
public:
    /// `is_holder` says that the caller has reserved the optimizer.
    Exclusive(Use& use, const std::string& owner, bool is_holder = false);
    ~Exclusive();
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

private:
    Use& use_;
};

}  // namespace adamcore::python

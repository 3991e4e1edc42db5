#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace adamcore::python {

/// Whether an optimizer is in use, and by whom.
class Use {
public:
    /// Raises RuntimeError, which begins with `owner`, if another thread uses the optimizer now. What is read until the
    /// GIL is let go stays as it is. A schedule may ask: its step has changed nothing yet.
    void require_readable(const std::string& owner) const;
    /// The same, but that a schedule may not ask either.
    void require_idle(const std::string& owner) const;
    /// Whether this thread uses it: a schedule asks.
    bool is_held_here() const { return busy_.load() && thread_.load() == std::this_thread::get_id(); }

private:
    friend class Exclusive;
    [[noreturn]] void refuse(const std::string& owner) const;

    std::atomic<bool> busy_{false};
    std::atomic<std::thread::id> thread_{};
    std::atomic<std::uint32_t> forks_{0};  ///< of the process, when the use began
};

/// For as long as it lives no one else uses the optimizer: its lists, state and counts are not to be changed, nor
/// copied, under a running step. Raises RuntimeError, which begins with `owner`, where somebody does already.
class Exclusive {
public:
    Exclusive(Use& use, const std::string& owner);
    ~Exclusive();
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

private:
    Use& use_;
};

}  // namespace adamcore::python

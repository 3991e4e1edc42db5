#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace adamcore::python {

/// Turns away a second thread: an optimizer's lists are not to be changed under a running step.
class Exclusive {
public:
    Exclusive(std::atomic<bool>& busy, const std::string& owner) : busy_(busy) {
        if (busy_.exchange(true))
            throw std::runtime_error(
                owner + ": the optimizer is in use by another thread, or by a schedule that it is calling");
    }
    ~Exclusive() { busy_.store(false); }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

private:
    std::atomic<bool>& busy_;
};

}  // namespace adamcore::python

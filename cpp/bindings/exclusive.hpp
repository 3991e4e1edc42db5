#pragma once

#include "optimizer.hpp"

namespace adamcore::python {

/// Turns away a second thread: the optimizer's lists are not to be changed under a running step.
class Optimizer::Exclusive {
public:
    explicit Exclusive(Optimizer& optimizer) : optimizer_(optimizer) {
        if (optimizer_.busy_.exchange(true))
            throw std::runtime_error(
                optimizer_.owner_ + ": the optimizer is in use by another thread, or by a schedule that it is calling");
    }
    ~Exclusive() { optimizer_.busy_.store(false); }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

private:
    Optimizer& optimizer_;
};

}  // namespace adamcore::python

#pragma once

#include <memory>
#include <vector>

#include "calls/bare.hpp"

namespace adamcore::python {

/// Calls on arrays in the CPU's memory; define_calls() says what each function is for.
class HostCalls {
public:
    HostCalls();
    ~HostCalls();

    /// Lets NumPy arrays in, and other libraries' in the CPU's memory.
    static Gate gate();
    static void update(const CheckedUpdate& checked);
    Measurement measure(const std::vector<Taken>& arrays, Clip clip, double limit);
    void rescale(const std::vector<Taken>& arrays, Scale factor, double limit);

private:
    struct Readings;
    std::unique_ptr<Readings> to_rescale_;
};

}  // namespace adamcore::python

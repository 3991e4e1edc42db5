#pragma once

#include <memory>
#include <vector>

#include <pybind11/numpy.h>

#include "calls/bare.hpp"

namespace adamcore::python {

/// Calls on arrays in CPU memory; define_calls() describes the functions.
class HostCalls {
public:
    HostCalls();
    ~HostCalls();

    /// Accepts NumPy arrays, and arrays of other libraries in CPU memory.
    static Gate gate();
    static void update(const CheckedUpdate& checked);
    Measurement measure(const std::vector<Taken>& arrays, Clip clip, double limit);
    void rescale(const std::vector<Taken>& arrays, Scale factor, double limit);

private:
    struct Readings;
    std::unique_ptr<Readings> to_rescale_;
};

/// Copies arrays, all of which are contiguous, into a block of memory, one behind the other.
void gather(const py::array& block, const py::list& arrays);

}  // namespace adamcore::python

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "adamcore/cuda/engine.hpp"
#include "calls/bare.hpp"

namespace adamcore::python {

/// Calls on arrays of one device; define_calls() describes the functions. The device and the streams that write the
/// arrays are taken from the arrays themselves.
class DeviceCalls {
public:
    Gate gate();
    void update(const CheckedUpdate& checked) const;
    Measurement measure(const std::vector<Taken>& arrays, Clip clip, double limit) const;
    void rescale(const std::vector<Taken>& arrays, Scale factor, double limit) const;

private:
    Taken take(const py::object& array, Access access, const std::string& label);
    int device() const { return std::max(device_, 0); }
    /// The stream of the first array, on which all work is queued. It waits for the other streams, and they wait for
    /// it.
    cuda::StepRequest request() const;

    int device_ = -1;
    std::vector<cuda::Stream> streams_;
};

}  // namespace adamcore::python

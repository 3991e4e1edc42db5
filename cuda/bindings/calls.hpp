#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "adamcore/cuda/engine.hpp"
#include "calls/bare.hpp"

namespace adamcore::python {

/// Calls on arrays of one device; define_calls() says what each function is for. It learns from the arrays that it lets
/// in which device that is, and on which streams they are written.
class DeviceCalls {
public:
    Gate gate();
    void update(const CheckedUpdate& checked) const;
    Measurement measure(const std::vector<Taken>& arrays, Clip clip, double limit) const;
    void rescale(const std::vector<Taken>& arrays, Scale factor, double limit) const;

private:
    Taken take(const py::object& array, Access access, const std::string& label);
    int device() const { return std::max(device_, 0); }
    /// The first array's stream, where all work goes; the others wait for it, and it for them.
    cuda::StepRequest request() const;

    int device_ = -1;
    std::vector<cuda::Stream> streams_;
};

}  // namespace adamcore::python

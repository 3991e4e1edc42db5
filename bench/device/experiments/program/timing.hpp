#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "program/device.hpp"
#include "program/trials.hpp"

/// The protocol: variants and two copies of as many bytes take turns, round after round; device time between events
/// behind a kernel that waits until the host has queued every step.
namespace adamcore::experiments {

using Clockwork = std::chrono::steady_clock;

struct Timings {
    int steps = 0;                                       ///< between two events
    std::map<std::string, std::vector<double>> seconds;  ///< of a step, by variant; also "memcpy" and "copy kernel"
    std::map<std::string, std::string> failures;
};

/// Times a trial until `end`, but every variant at least once. Problems are kept from one trial to the next.
class Timer {
public:
    explicit Timer(const DeviceFacts& device) : device_(device) {}

    Timings measure(const Trial& trial, Clockwork::time_point end);

private:
    const Problem& problem_of(const Trial& trial);

    const DeviceFacts& device_;
    std::unique_ptr<Problem> problem_;
    Buffer source_, target_;
};

}  // namespace adamcore::experiments

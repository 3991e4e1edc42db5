#pragma once

#include <string>
#include <vector>

/// A process for each experiment: what one does to a device or waits for does not lose what others have found.
namespace adamcore::experiments {

struct ChildRequest {
    std::string program;
    double seconds;
    std::string json;                 ///< where all records go, each under its experiment's name; or ""
    std::vector<std::string> extras;  ///< arguments that are passed on
};

/// Runs one after the other, and shares time out. Returns whether all succeeded.
bool run_children(const ChildRequest& request);

}  // namespace adamcore::experiments

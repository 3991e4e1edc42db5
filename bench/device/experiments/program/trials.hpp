#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/variant.hpp"
#include "program/problem.hpp"

/// Which variants are timed on what.
namespace adamcore::experiments {

/// Variants that take turns. The first is the base.
struct Trial {
    std::string experiment, name;
    std::string detail;  ///< the step, the storage, or what comes before
    ProblemRequest problem;
    double step_bytes;  ///< for each element
    std::int64_t step;  ///< that an update starts from
    double weight;      ///< its share of the time
    Variants variants;

    /// The number of a set's next step after `done` of them. Where nothing is decided, it stays the same.
    std::int64_t step_after(std::int64_t done) const { return variants.front().decide.function ? step + done : step; }
};

inline const std::vector<std::string> experiment_names{"E1", "E2", "E3", "E4"};

/// Of one experiment, with as many sets of arrays as `cache` bytes ask for.
std::vector<Trial> trials_of(const std::string& experiment, std::size_t cache);

/// The same variants on small arrays of all kinds of sizes and starts, and numbers that are no numbers, for comparison.
std::vector<Trial> checks_of(const std::string& experiment, On where);

}  // namespace adamcore::experiments

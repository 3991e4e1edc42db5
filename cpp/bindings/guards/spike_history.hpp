#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/optimizer/clip.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What a SpikeGuard knows: its arguments, and the norms of the last steps. Use it with the GIL, and within a
/// cpu::FloatEnvironment.
class SpikeHistory {
public:
    struct Settings {
        double k;
        std::size_t window;     ///< how many norms are kept
        bool skips;             ///< whether spikes are skipped
        std::size_t max_skips;  ///< of spikes in a row; the others are clipped
    };

    /// Below this number of norms, or `window` if that is less, nothing is a spike.
    static constexpr std::size_t least = 16;

    /// `norms` are finite and > 0, at most `window` of them, the latest last. Allocates all that is ever needed.
    SpikeHistory(const Settings& settings, const std::vector<double>& norms, std::size_t skipped);

    /// What the next step is told.
    SpikeLimit next() const noexcept;
    /// Takes the norm of a step that was told `limit`, and whose gradients were finite.
    void record(double norm, SpikeLimit limit) noexcept;
    /// Takes the norm of a step that knew nothing of this history, and returns whether it is a spike. Norms that are not
    /// finite are not seen.
    bool observe(double norm) noexcept;

    /// The norms, the latest last.
    std::vector<double> norms() const;
    /// How many steps have been skipped since the last one that was no spike.
    std::size_t skipped() const { return skipped_; }

private:
    void add(double norm) noexcept;

    Settings settings_;
    std::size_t skipped_;
    std::vector<double> norms_;  ///< a ring
    std::size_t oldest_ = 0;
    std::vector<double> logs_;  ///< to base 2, sorted
};

/// The history in the memory of a SpikeGuard, a dict; null if `memory` is null. Loading a state dict puts another one
/// there.
std::shared_ptr<SpikeHistory> history_in(const py::object& memory);

/// Defines `SpikeHistory`.
void define_guards(py::module_& m);

}  // namespace adamcore::python

#pragma once

#include <cstdint>
#include <string>

#include <pybind11/pybind11.h>

#include "adamcore/optimizer/clip.hpp"
#include "adamcore/tensor.hpp"

/// The options of a whole optimizer: precision, clipping, and checks for gradients that are not finite.
namespace adamcore::python {

namespace py = pybind11;

struct Options {
    WeightPolicy half_weights = WeightPolicy::master;  ///< of half-precision parameters
    Dtype state = Dtype::float32;                      ///< of parameters that are updated in float32
    StateRounding state_rounding = StateRounding::stochastic;
    std::uint64_t seed = 0;
    Clip clip = Clip::none;
    double limit = 0;
    py::object guard{};   ///< the memory of the SpikeGuard that is the limit of Clip::norm, or null
    bool checks = false;  ///< whether gradients that are not finite stop a step
    bool raises = false;  ///< whether an error follows, unless a loss scale is used

    WeightPolicy weights_of(Dtype param) const { return is_half(param) ? half_weights : WeightPolicy::plain; }
    Dtype state_of(Dtype param) const { return param == Dtype::float64 ? param : state; }

    /// Whether elements are counted in C order, because their index matters (a remainder's ties are a list of bits),
    /// and not in memory order.
    bool counts_in_c_order() const {
        const bool state_at_random = is_half(state) && state_rounding == StateRounding::stochastic;
        return half_weights == WeightPolicy::stochastic || half_weights == WeightPolicy::remainder ||
               clip == Clip::units || state_at_random;
    }
};

/// Reads the dict that Python's Optimizer creates from its arguments, which are checked there: "weights", "state",
/// "state_rounding", "seed", "clip", "limit", "guard", "checks" and "raises".
Options read_options(const py::dict& options);

/// Raises ValueError, which starts with `label`, if the options cannot be used with a parameter of this dtype.
void require_fit(const Options& options, Dtype param, const std::string& label);

}  // namespace adamcore::python

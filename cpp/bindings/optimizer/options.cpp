#include "optimizer/options.hpp"

#include <array>
#include <utility>

namespace adamcore::python {
namespace {

template <class T, std::size_t N>
T named(const std::array<std::pair<const char*, T>, N>& names, const py::handle& name) {
    const auto text = name.cast<std::string>();
    for (const auto& [each, value] : names) {
        if (text == each) return value;
    }
    throw py::value_error("unknown option " + text);
}

constexpr std::array<std::pair<const char*, WeightPolicy>, 5> weights_names{{{"plain", WeightPolicy::plain},
                                                                             {"master", WeightPolicy::master},
                                                                             {"remainder", WeightPolicy::remainder},
                                                                             {"compensated", WeightPolicy::compensated},
                                                                             {"stochastic", WeightPolicy::stochastic}}};
constexpr std::array<std::pair<const char*, Dtype>, 3> state_names{
    {{"float32", Dtype::float32}, {"bfloat16", Dtype::bfloat16}, {"float16", Dtype::float16}}};
constexpr std::array<std::pair<const char*, StateRounding>, 2> state_rounding_names{
    {{"nearest", StateRounding::nearest}, {"stochastic", StateRounding::stochastic}}};
constexpr std::array<std::pair<const char*, Clip>, 5> clip_names{{{"none", Clip::none},
                                                                  {"norm", Clip::norm},
                                                                  {"norm_per_tensor", Clip::norm_per_tensor},
                                                                  {"units", Clip::units},
                                                                  {"value", Clip::value}}};

}  // namespace

Options read_options(const py::dict& options) {
    Options read;
    read.half_weights = named(weights_names, options["weights"]);
    read.state = named(state_names, options["state"]);
    read.state_rounding = named(state_rounding_names, options["state_rounding"]);
    read.seed = options["seed"].cast<std::uint64_t>();
    read.clip = named(clip_names, options["clip"]);
    read.limit = options["limit"].cast<double>();
    const py::object guard = options["guard"];
    if (!guard.is_none()) read.guard = guard.cast<py::dict>();
    read.checks = options["checks"].cast<bool>();
    read.raises = options["raises"].cast<bool>();
    return read;
}

void require_fit(const Options& options, Dtype param, const std::string& label) {
    if (options.half_weights == WeightPolicy::remainder && param == Dtype::float16)
        throw py::value_error(label +
                              ": master='remainder' keeps the 16 bits that bfloat16 lacks compared with float32, so it "
                              "works only for bfloat16 parameters; use master='float32' for float16");
    if (options.state != Dtype::float32 && param == Dtype::float64)
        throw py::value_error(
            label + ": state='" + name_of(options.state) +
            "' is for parameters that are updated in float32; the state of a float64 parameter is always float64");
}

}  // namespace adamcore::python

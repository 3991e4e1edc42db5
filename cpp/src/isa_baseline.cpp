#include "adamcore/cpu/kernels.hpp"

namespace adamcore::cpu {
extern const Kernels baseline_kernels;
constexpr Kernels baseline_kernels =
    detail::make_kernels<isa::Baseline>(Isa::baseline, rules::All{}, weight_pass::All{}, leaf::All{});
}  // namespace adamcore::cpu

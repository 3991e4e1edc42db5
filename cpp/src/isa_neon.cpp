#include "adamcore/cpu/kernels.hpp"

namespace adamcore::cpu {
extern const Kernels neon_kernels;
constexpr Kernels neon_kernels =
    detail::make_kernels<isa::Neon>(Isa::neon, rules::All{}, weight_pass::All{}, leaf::All{});
}  // namespace adamcore::cpu

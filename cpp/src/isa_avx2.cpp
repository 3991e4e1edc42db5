#include "adamcore/cpu/kernels.hpp"

namespace adamcore::cpu {
extern const Kernels avx2_kernels;
constexpr Kernels avx2_kernels =
    detail::make_kernels<isa::Avx2>(Isa::avx2, rules::All{}, weight_pass::All{}, leaf::All{});
}  // namespace adamcore::cpu

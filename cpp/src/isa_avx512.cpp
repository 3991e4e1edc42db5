#include "adamcore/cpu/kernels.hpp"

namespace adamcore::cpu {
extern const Kernels avx512_kernels;
constexpr Kernels avx512_kernels =
    detail::make_kernels<isa::Avx512>(Isa::avx512, rules::All{}, weight_pass::All{}, leaf::All{});
}  // namespace adamcore::cpu

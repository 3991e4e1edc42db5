#include "adamcore/cpu/kernels.hpp"

namespace adamcore::cpu {

extern const Kernels baseline_kernels;
#if defined(ADAMCORE_HAS_AVX2)
extern const Kernels avx2_kernels;
#endif
#if defined(ADAMCORE_HAS_AVX512)
extern const Kernels avx512_kernels;
#endif
#if defined(ADAMCORE_HAS_NEON)
extern const Kernels neon_kernels;
#endif

namespace {

const Kernels* built_for(Isa isa) noexcept {
    switch (isa) {
        case Isa::baseline: return &baseline_kernels;
#if defined(ADAMCORE_HAS_AVX2)
        case Isa::avx2: return &avx2_kernels;
#endif
#if defined(ADAMCORE_HAS_AVX512)
        case Isa::avx512: return &avx512_kernels;
#endif
#if defined(ADAMCORE_HAS_NEON)
        case Isa::neon: return &neon_kernels;
#endif
        default: return nullptr;
    }
}

}  // namespace

const Kernels* kernels_for(Isa isa) noexcept { return supports(isa) ? built_for(isa) : nullptr; }

const Kernels& best_kernels() noexcept {
    for (const Isa isa : {Isa::neon, Isa::avx512, Isa::avx2}) {
        if (const Kernels* kernels = kernels_for(isa)) return *kernels;
    }
    return baseline_kernels;
}

}  // namespace adamcore::cpu

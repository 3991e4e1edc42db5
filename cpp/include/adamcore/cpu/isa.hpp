#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#define ADAMCORE_X86_DISPATCH 1
#else
#define ADAMCORE_X86_DISPATCH 0
#endif

namespace adamcore::cpu {

/// The instruction sets for which kernels are compiled. Each has its own type, so that templates instantiated for it
/// have their own symbols.
namespace isa {
struct Static {};  ///< whatever the including program is compiled for
struct Baseline {};
struct Avx2 {};
struct Avx512 {};
struct Neon {};
}  // namespace isa

enum class Isa : std::uint8_t { baseline, avx2, avx512, neon };

inline constexpr std::array<Isa, 4> all_isas{Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon};

constexpr const char* name_of(Isa isa) {
    constexpr std::array<const char*, 4> names{"baseline", "avx2", "avx512", "neon"};
    return names[static_cast<std::size_t>(isa)];
}

#if ADAMCORE_X86_DISPATCH
namespace detail {

/// Tests the bit itself, because not every compiler knows the name.
inline bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace detail
#endif

/// Whether this processor and operating system can run code compiled for `isa`.
inline bool supports(Isa isa) {
#if ADAMCORE_X86_DISPATCH
    switch (isa) {
        case Isa::baseline: return true;
        case Isa::avx2: return __builtin_cpu_supports("avx2") && detail::has_f16c();
        case Isa::avx512:
            return supports(Isa::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        case Isa::neon: return false;
    }
    return false;
#elif defined(__aarch64__)
    return isa == Isa::baseline || isa == Isa::neon;
#else
    return isa == Isa::baseline;
#endif
}

}  // namespace adamcore::cpu

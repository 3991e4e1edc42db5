#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/// The register that says how this thread's arithmetic rounds and what it does with subnormals.
namespace adamcore::test {

#if defined(__x86_64__)

/// MXCSR with flush-to-zero, denormals-are-zero, rounding up, and all exceptions but "inexact" and "denormal"
/// raising SIGFPE.
inline constexpr std::uint64_t hostile_control = 0x8000 | 0x0040 | 0x4000 | 0x1000 | 0x0100;

inline std::uint64_t control_word() { return _mm_getcsr(); }
inline void set_control_word(std::uint64_t word) { _mm_setcsr(static_cast<unsigned>(word)); }

#elif defined(__aarch64__)

/// FPCR with flush-to-zero and rounding up. Traps are left out: processors need not have them.
inline constexpr std::uint64_t hostile_control = (1u << 24) | (1u << 22);

inline std::uint64_t control_word() {
    std::uint64_t word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}
inline void set_control_word(std::uint64_t word) { asm volatile("msr fpcr, %0" : : "r"(word)); }

#endif

/// Makes the calling thread's arithmetic hostile for its lifetime.
class HostileEnvironment {
public:
    HostileEnvironment() : saved_(control_word()) { set_control_word(hostile_control); }
    ~HostileEnvironment() { set_control_word(saved_); }
    HostileEnvironment(const HostileEnvironment&) = delete;
    HostileEnvironment& operator=(const HostileEnvironment&) = delete;

private:
    std::uint64_t saved_;
};

}  // namespace adamcore::test

#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace adamcore::cpu {

/// During its lifetime this thread rounds to nearest and keeps subnormals, whatever other libraries have set.
class FloatEnvironment {
public:
#if defined(__x86_64__) || defined(_M_X64)
    FloatEnvironment() noexcept : saved_(_mm_getcsr()) {
        constexpr unsigned ieee = 0x1f80;  // all exceptions masked, nearest, no FTZ, no DAZ
        constexpr unsigned flags = 0x3f;
        if ((saved_ & ~flags) != ieee) _mm_setcsr(ieee);
        hold();
    }
    ~FloatEnvironment() {
        hold();
        if (_mm_getcsr() != saved_) _mm_setcsr(saved_);  // reading the register is faster than writing it
    }

private:
    unsigned saved_;
#elif defined(__aarch64__) && defined(__GNUC__)
    FloatEnvironment() noexcept {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
        hold();
    }
    ~FloatEnvironment() {
        hold();
        asm volatile("msr fpcr, %0" : : "r"(saved_));
    }

private:
    std::uint64_t saved_;
#else
    FloatEnvironment() noexcept {}
#endif

public:
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;

private:
    /// Prevents the compiler, which does not know that arithmetic depends on this register, from moving memory accesses
    /// out of the scope of this object.
    static void hold() noexcept {
#if defined(__GNUC__)
        asm volatile("" : : : "memory");
#endif
    }
};

}  // namespace adamcore::cpu

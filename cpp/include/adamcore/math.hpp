#pragma once

/// Scalar functions that vectorise: only correctly rounded operations and selects on comparisons.
///
/// Everything here is forced inline. Code for several instruction sets is linked into one program, and the linker could
/// pick an out-of-line copy compiled for the widest set for all of them.

// Fast math assumes that NaN and infinity never occur, and reorders sums. Checks for NaN would then always pass, and
// the extra digits that averages and corrections keep would be lost silently.
#if !defined(ADAMCORE_ALLOW_FAST_MATH)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error \
    "adamcore: -ffast-math (-Ofast, /fp:fast, or a part of it) breaks the checks for NaN and the exactness of adamcore. \
Compile code that includes adamcore without it (add -fno-fast-math), or define ADAMCORE_ALLOW_FAST_MATH to accept this."
#endif
#endif

#if defined(__CUDACC__)
#define ADAMCORE_FN __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define ADAMCORE_FN __forceinline
#else
#define ADAMCORE_FN inline __attribute__((always_inline))
#endif

// Functions that devices call instead of inlining. Instructions are read from memory too, so rarely used code should
// not be in the way.
#if defined(__CUDACC__)
#define ADAMCORE_CALL inline __host__ __device__ __noinline__
#else
#define ADAMCORE_CALL ADAMCORE_FN
#endif

#if defined(__CUDACC__)
#define ADAMCORE_OUTLINE
#define ADAMCORE_RESTRICT __restrict__
#define ADAMCORE_IVDEP
#define ADAMCORE_ROLLED _Pragma("unroll 1")
#elif defined(_MSC_VER) && !defined(__clang__)
#include <cmath>
#define ADAMCORE_OUTLINE __declspec(noinline)
#define ADAMCORE_RESTRICT __restrict
#define ADAMCORE_IVDEP __pragma(loop(ivdep))
#else
#define ADAMCORE_OUTLINE __attribute__((noinline))
#define ADAMCORE_RESTRICT __restrict__
#if defined(__clang__)
#define ADAMCORE_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define ADAMCORE_IVDEP _Pragma("GCC ivdep")
#endif
#endif

// For headers with such loops. If the loops are not vectorised (-Os, sanitizers), clang would warn the user, who cannot
// change this.
#if defined(__clang__)
#define ADAMCORE_LOOPS_BEGIN _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wpass-failed\"")
#define ADAMCORE_LOOPS_END _Pragma("clang diagnostic pop")
#else
#define ADAMCORE_LOOPS_BEGIN
#define ADAMCORE_LOOPS_END
#endif

// Marks a loop that a device should not unroll, because instructions are read from memory too.
#if !defined(ADAMCORE_ROLLED)
#define ADAMCORE_ROLLED
#endif

namespace adamcore::math {

#if defined(__CUDA_ARCH__)
// Rounds to nearest, whatever -prec-sqrt says.
ADAMCORE_FN float sqrt(float x) { return __fsqrt_rn(x); }
ADAMCORE_FN double sqrt(double x) { return __dsqrt_rn(x); }
#elif defined(_MSC_VER) && !defined(__clang__)
ADAMCORE_FN float sqrt(float x) { return std::sqrt(x); }
ADAMCORE_FN double sqrt(double x) { return std::sqrt(x); }
#else
// These are builtins because std::sqrt(float) is an inline function that leaks as a weak symbol at -O0.
ADAMCORE_FN float sqrt(float x) { return __builtin_sqrtf(x); }
ADAMCORE_FN double sqrt(double x) { return __builtin_sqrt(x); }
#endif

/// `yes` if `condition` is true, otherwise `no`. Both are evaluated, so that a loop of it has no branches.
template <class T>
ADAMCORE_FN T select(bool condition, T yes, T no) {
    return condition ? yes : no;
}

/// The larger of the two. It is `b` if they are unordered, so that a NaN in `b` is kept.
template <class T>
ADAMCORE_FN T max(T a, T b) {
    return select(a > b, a, b);
}

/// The smaller of the two. It is `b` if they are unordered.
template <class T>
ADAMCORE_FN T min(T a, T b) {
    return select(a < b, a, b);
}

/// -1, 0 or 1. A NaN is kept.
template <class T>
ADAMCORE_FN T sign(T x) {
    return select(x > 0, T(1), select(x < 0, T(-1), x - x));
}

}  // namespace adamcore::math

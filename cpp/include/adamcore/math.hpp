#pragma once

/// Scalar functions that vectorise: correctly rounded operations and compare-selects only.
///
/// Everything here is forced inline. Code for several instruction sets is linked into one program,
/// and an out-of-line copy compiled for the widest would be picked for all of them.

// Fast math takes NaN and infinity for impossible, and sums in an order of its own: checks would pass what they are to find,
// and the digits that averages and corrections keep would be lost in silence.
#if !defined(ADAMCORE_ALLOW_FAST_MATH)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error \
    "adamcore: -ffast-math (-Ofast, /fp:fast, or a part of it) breaks the checks for NaN and the exactness of adamcore. \
Compile what includes adamcore without it (add -fno-fast-math), or define ADAMCORE_ALLOW_FAST_MATH to do without them."
#endif
#endif

#if defined(__CUDACC__)
#define ADAMCORE_FN __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define ADAMCORE_FN __forceinline
#else
#define ADAMCORE_FN inline __attribute__((always_inline))
#endif

// What devices call, and do not inline: instructions too are read from memory, and what is rare is not to be in the way.
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

// Around headers with such loops: where they are not vectorised (-Os, sanitizers), clang says so to the user, who cannot
// help it.
#if defined(__clang__)
#define ADAMCORE_LOOPS_BEGIN _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wpass-failed\"")
#define ADAMCORE_LOOPS_END _Pragma("clang diagnostic pop")
#else
#define ADAMCORE_LOOPS_BEGIN
#define ADAMCORE_LOOPS_END
#endif

// Before a loop that a device is not to unroll: instructions too are read from memory.
#if !defined(ADAMCORE_ROLLED)
#define ADAMCORE_ROLLED
#endif

namespace adamcore::math {

#if defined(__CUDA_ARCH__)
// Rounded to nearest whatever -prec-sqrt says.
ADAMCORE_FN float sqrt(float x) { return __fsqrt_rn(x); }
ADAMCORE_FN double sqrt(double x) { return __dsqrt_rn(x); }
#elif defined(_MSC_VER) && !defined(__clang__)
ADAMCORE_FN float sqrt(float x) { return std::sqrt(x); }
ADAMCORE_FN double sqrt(double x) { return std::sqrt(x); }
#else
// The builtins, since std::sqrt(float) is an inline function that leaks as a weak symbol at -O0.
ADAMCORE_FN float sqrt(float x) { return __builtin_sqrtf(x); }
ADAMCORE_FN double sqrt(double x) { return __builtin_sqrt(x); }
#endif

/// `yes` where `condition` holds, else `no`; both are evaluated, so a loop of it stays branch-free.
template <class T>
ADAMCORE_FN T select(bool condition, T yes, T no) {
    return condition ? yes : no;
}

/// The larger of the two; `b` where they do not compare, so that a NaN in `b` is kept.
template <class T>
ADAMCORE_FN T max(T a, T b) {
    return select(a > b, a, b);
}

/// The smaller of the two; `b` where they do not compare.
template <class T>
ADAMCORE_FN T min(T a, T b) {
    return select(a < b, a, b);
}

}  // namespace adamcore::math

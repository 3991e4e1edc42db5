#pragma once

#include <cstdint>

#include "adamcore/layout.hpp"
#include "adamcore/math.hpp"
#include "adamcore/storage.hpp"

#if defined(__CUDACC__)
#define ADAMCORE_UNROLL _Pragma("unroll")
#define ADAMCORE_AWAY __host__ __device__ __noinline__
#else
#define ADAMCORE_UNROLL
#define ADAMCORE_AWAY
#endif

/// Neighbouring elements between memory and registers, in accesses as wide as an array's alignment allows.
namespace adamcore::cuda {

/// The widest access, in bytes.
inline constexpr int widest = 16;

/// A pointer that came from a table, which compilers do not know to be into device memory: they would look at each
/// access which kind of memory it is.
template <class T>
ADAMCORE_FN T* global(T* pointer) {
#if defined(__CUDA_ARCH__)
    __builtin_assume(__isGlobal(pointer));
#endif
    return pointer;
}

/// `N` neighbours that move at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
    T of[N];
};

template <class T, int N>
inline constexpr int pack_size = int(widest / sizeof(T)) < N ? int(widest / sizeof(T)) : N;

template <int N, class T>
ADAMCORE_FN bool is_wide(const T* array) {
    return reinterpret_cast<std::uintptr_t>(array) % (pack_size<T, N> * sizeof(T)) == 0;
}

/// N elements from an array for which is_wide<N>() holds.
template <int N, class T>
ADAMCORE_FN void load_wide(const T* from, T (&to)[N]) {
    using Wide = Pack<T, pack_size<T, N>>;
    ADAMCORE_UNROLL
    for (int k = 0; k < N; k += pack_size<T, N>) {
        const Wide pack = *reinterpret_cast<const Wide*>(from + k);
        ADAMCORE_UNROLL
        for (int j = 0; j < pack_size<T, N>; ++j) to[k + j] = pack.of[j];
    }
}

template <int N, class T>
ADAMCORE_FN void store_wide(const T (&from)[N], T* to) {
    using Wide = Pack<T, pack_size<T, N>>;
    ADAMCORE_UNROLL
    for (int k = 0; k < N; k += pack_size<T, N>) {
        Wide pack;
        ADAMCORE_UNROLL
        for (int j = 0; j < pack_size<T, N>; ++j) pack.of[j] = from[k + j];
        *reinterpret_cast<Wide*>(to + k) = pack;
    }
}

/// N elements of any dense array.
template <int N, class T>
ADAMCORE_FN void load(const T* from, T (&to)[N]) {
    if (is_wide<N>(from)) return load_wide(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) to[k] = from[k];
}

template <int N, class T>
ADAMCORE_FN void store(const T (&from)[N], T* to) {
    if (is_wide<N>(to)) return store_wide(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) to[k] = from[k];
}

/// Of N elements the first `count`.
template <int N, class T>
ADAMCORE_FN void load(const T* from, int count, T (&to)[N]) {
    if (count == N) return load(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) {
        if (k < count) to[k] = from[k];
    }
}

template <int N, class T>
ADAMCORE_FN void store(const T (&from)[N], int count, T* to) {
    if (count == N) return store(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) {
        if (k < count) to[k] = from[k];
    }
}

/// Where element `index` of any array lies. A call and not inlined: strided arrays are the exception.
template <class Stored>
ADAMCORE_AWAY Stored* element_of(const void* data, const Axes& axes, std::int64_t index) {
    return global(reinterpret_cast<Stored*>(static_cast<char*>(const_cast<void*>(data)) +
                                            offset_of(axes, sizeof(Stored), index)));
}

/// Elements [begin, begin + count) of any array, decoded, one by one.
template <class T>
ADAMCORE_AWAY void read_each(const void* data, Dtype dtype, const Axes& axes, std::int64_t begin, int count, T* to) {
    visit(dtype, [&](auto x) {
        using Stored = decltype(x);
        for (int k = 0; k < count; ++k)
            to[k] = static_cast<T>(storage::decode(*element_of<Stored>(data, axes, begin + k)));
    });
}

/// The same, encoded. Of double only to double.
template <class T>
ADAMCORE_AWAY void write_each(const T* from, void* data, Dtype dtype, const Axes& axes, std::int64_t begin, int count) {
    visit(dtype, [&](auto x) {
        using Stored = decltype(x);
        if constexpr ((sizeof(T) == 8) == (sizeof(Stored) == 8)) {
            for (int k = 0; k < count; ++k)
                *element_of<Stored>(data, axes, begin + k) = storage::encode<Stored>(from[k]);
        }
    });
}

/// The types that T is decoded from and encoded to without a detour.
template <class T, class F>
ADAMCORE_FN bool visit_usual(Dtype dtype, F&& f) {
    if (dtype == dtype_of<T>) {
        f(T{});
    } else if (sizeof(T) == 4 && dtype == Dtype::bfloat16) {
        f(bfloat16{});
    } else if (sizeof(T) == 4 && dtype == Dtype::float16) {
        f(float16{});
    } else {
        return false;
    }
    return true;
}

/// N elements of any array from element `begin`, of which `count` are wanted, decoded to T. (What is out of the way
/// has a buffer of its own: registers have no address.)
template <int N, class T>
ADAMCORE_FN void read(const void* data, Dtype dtype, const Axes& axes, std::int64_t begin, int count, T (&to)[N]) {
    const bool is_usual = axes.count == 0 && count == N && visit_usual<T>(dtype, [&](auto x) {
                              using Stored = decltype(x);
                              Stored stored[N];
                              load(global(static_cast<const Stored*>(data)) + begin, stored);
                              ADAMCORE_UNROLL
                              for (int k = 0; k < N; ++k) {
                                  if constexpr (sizeof(Stored) <= sizeof(T)) to[k] = storage::decode(stored[k]);
                              }
                          });
    if (is_usual) return;
    T each[N] = {};
    read_each(data, dtype, axes, begin, count, each);
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) to[k] = each[k];
}

/// The same, encoded. Of double only to double.
template <int N, class T>
ADAMCORE_FN void write(const T (&from)[N], void* data, Dtype dtype, const Axes& axes, std::int64_t begin, int count) {
    const bool is_usual = axes.count == 0 && count == N && visit_usual<T>(dtype, [&](auto x) {
                              using Stored = decltype(x);
                              if constexpr ((sizeof(T) == 8) == (sizeof(Stored) == 8)) {
                                  Stored stored[N];
                                  ADAMCORE_UNROLL
                                  for (int k = 0; k < N; ++k) stored[k] = storage::encode<Stored>(from[k]);
                                  store(stored, global(static_cast<Stored*>(data)) + begin);
                              }
                          });
    if (is_usual) return;
    T each[N];
    ADAMCORE_UNROLL
    for (int k = 0; k < N; ++k) each[k] = from[k];
    write_each(each, data, dtype, axes, begin, count);
}

}  // namespace adamcore::cuda

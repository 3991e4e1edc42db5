#pragma once

#include <cstdint>

#include "adamcore/math.hpp"
#include "adamcore/storage/formats.hpp"
#include "adamcore/storage/layout.hpp"

#if defined(__CUDACC__)
#define ADAMCORE_UNROLL _Pragma("unroll")
#define ADAMCORE_AWAY __host__ __device__ __noinline__
#else
#define ADAMCORE_UNROLL
#define ADAMCORE_AWAY ADAMCORE_OUTLINE
#endif

/// Moves neighbouring elements between memory and registers, in accesses as wide as the alignment of an array allows.
namespace adamcore::cuda {

/// The widest access, in bytes.
inline constexpr int widest = 16;

/// A pointer from a table. Compilers do not know that it points to device memory, and would check the kind of memory at
/// each access.
template <class T>
ADAMCORE_FN T* global(T* pointer) {
#if defined(__CUDA_ARCH__)
    __builtin_assume(__isGlobal(pointer));
#endif
    return pointer;
}

/// Makes the compiler read tables again after this point, instead of keeping their contents in registers.
ADAMCORE_FN void forget() {
#if defined(__CUDA_ARCH__)
    asm volatile("" ::: "memory");
#endif
}

/// `N` neighbouring elements that are moved in one access.
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

/// Whether arrays of a dtype can be read as Raw<T>.
template <class T>
ADAMCORE_FN bool is_usual(Dtype dtype) {
    return dtype == dtype_of<T> || (sizeof(T) == 4 && is_half(dtype));
}

/// N elements in registers, as they are stored. They are decoded only after all arrays have been requested. Otherwise
/// each array would be waited for before the next is requested.
template <class T, int N>
struct Raw;

template <int N>
struct Raw<double, N> {
    double of[N];

    ADAMCORE_FN double get(int k) const { return of[k]; }
    ADAMCORE_FN void put(int k, double value) { of[k] = value; }
    ADAMCORE_FN void load_from(const void* data, Dtype, std::int64_t begin) {
        load(global(static_cast<const double*>(data)) + begin, of);
    }
    ADAMCORE_FN void store_to(void* data, Dtype, std::int64_t begin) const {
        store(of, global(static_cast<double*>(data)) + begin);
    }
    ADAMCORE_FN void decode(Dtype, double (&to)[N]) const {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) to[k] = of[k];
    }
    ADAMCORE_FN void encode(const double (&from)[N], Dtype) {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) of[k] = from[k];
    }
};

/// Elements of four bytes each, or of two bytes, two of which share a word.
template <int N>
struct Raw<float, N> {
    std::uint32_t words[N];

    ADAMCORE_FN void clear() {
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) words[k] = 0;
    }
    ADAMCORE_FN void load_from(const void* data, Dtype dtype, std::int64_t begin) {
        if (dtype == Dtype::float32) {
            load(global(static_cast<const std::uint32_t*>(data)) + begin, words);
        } else {
            load_halves(data, begin);
        }
    }
    ADAMCORE_FN void load_halves(const void* data, std::int64_t begin) {
        const std::uint16_t* const halves = global(static_cast<const std::uint16_t*>(data)) + begin;
        // All words are assigned. Otherwise an unassigned word would keep a register with its old value.
        ADAMCORE_UNROLL
        for (int k = pairs; k < N; ++k) words[k] = 0;
        if constexpr (N > 1) {
            if (is_wide<N>(halves)) return move_pairs(reinterpret_cast<const std::uint32_t*>(halves));
        }
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            if (k % 2 == 0) words[k / 2] = 0;
            set_half(k, halves[k]);
        }
    }

    ADAMCORE_FN void store_to(void* data, Dtype dtype, std::int64_t begin) const {
        if (dtype == Dtype::float32) {
            store(words, global(static_cast<std::uint32_t*>(data)) + begin);
        } else {
            store_halves(data, begin);
        }
    }
    ADAMCORE_FN void store_halves(void* data, std::int64_t begin) const {
        std::uint16_t* const halves = global(static_cast<std::uint16_t*>(data)) + begin;
        if constexpr (N > 1) {
            if (is_wide<N>(halves)) return move_pairs(reinterpret_cast<std::uint32_t*>(halves));
        }
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) halves[k] = half(k);
    }

    ADAMCORE_FN float get(int k) const { return storage::float_of(words[k]); }
    ADAMCORE_FN void put(int k, float value) { words[k] = storage::bits_of(value); }
    ADAMCORE_FN std::uint16_t half(int k) const { return static_cast<std::uint16_t>(words[k / 2] >> (16 * (k % 2))); }
    /// Halves must be set in order, or after all of them have been set.
    ADAMCORE_FN void set_half(int k, std::uint16_t half) {
        const std::uint32_t wide = half;
        words[k / 2] = k % 2 == 0 ? wide : (words[k / 2] & 0xffffu) | wide << 16;
    }

    template <class Stored>
    ADAMCORE_FN Stored at(int k) const {
        if constexpr (sizeof(Stored) == 4) {
            return storage::float_of(words[k]);
        } else {
            return Stored{half(k)};
        }
    }
    template <class Stored>
    ADAMCORE_FN void set(int k, Stored value) {
        if constexpr (sizeof(Stored) == 4) {
            words[k] = storage::bits_of(value);
        } else {
            set_half(k, value.bits);
        }
    }

    ADAMCORE_FN void decode(Dtype dtype, float (&to)[N]) const {
        visit_usual(dtype, [&](auto x) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) to[k] = storage::decode(this->at<decltype(x)>(k));
        });
    }
    ADAMCORE_FN void encode(const float (&from)[N], Dtype dtype) {
        visit_usual(dtype, [&](auto x) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) set(k, storage::encode<decltype(x)>(from[k]));
        });
    }

private:
    static constexpr int pairs = (N + 1) / 2;

    template <class F>
    ADAMCORE_FN static void visit_usual(Dtype dtype, F&& f) {
        if (dtype == Dtype::float32) {
            f(0.0f);
        } else if (dtype == Dtype::bfloat16) {
            f(bfloat16{});
        } else {
            f(float16{});
        }
    }

    ADAMCORE_FN void move_pairs(const std::uint32_t* from) {
        std::uint32_t some[pairs];
        load_wide(from, some);
        ADAMCORE_UNROLL
        for (int k = 0; k < pairs; ++k) words[k] = some[k];
    }
    ADAMCORE_FN void move_pairs(std::uint32_t* to) const {
        std::uint32_t some[pairs];
        ADAMCORE_UNROLL
        for (int k = 0; k < pairs; ++k) some[k] = words[k];
        store_wide(some, to);
    }
};

/// The position of element `index` of any array. It is a call and not inlined, because strided arrays are the
/// exception.
template <class Stored>
ADAMCORE_AWAY Stored* element_of(const void* data, const Axes& axes, std::int64_t index) {
    return global(reinterpret_cast<Stored*>(static_cast<char*>(const_cast<void*>(data)) +
                                            offset_of(axes, sizeof(Stored), index)));
}

/// Decodes elements [begin, begin + count) of any array, one by one.
template <class T>
ADAMCORE_AWAY void read_each(const void* data, Dtype dtype, const Axes& axes, std::int64_t begin, int count, T* to) {
    visit(dtype, [&](auto x) {
        using Stored = decltype(x);
        for (int k = 0; k < count; ++k)
            to[k] = static_cast<T>(storage::decode(*element_of<Stored>(data, axes, begin + k)));
    });
}

/// The same for encoding. double is encoded only to double.
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

/// Calls `f` with the types that T is decoded from and encoded to directly.
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

/// Decodes N elements of any array from element `begin` on to T, of which `count` are wanted. (The slow path has its
/// own buffer, because registers have no address.)
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

/// The same for encoding. double is encoded only to double.
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

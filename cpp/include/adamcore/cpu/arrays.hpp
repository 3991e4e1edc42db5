#pragma once

#include <cstdint>

#include "adamcore/cpu/convert.hpp"
#include "adamcore/cpu/prefetch.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/storage/layout.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

namespace adamcore::cpu {

/// The number of elements that are decoded into buffers at a time. It is small enough that the next tile is fetched
/// while this one is processed, and large enough to be worth the calls. The value was measured. It is a multiple of a
/// block of random numbers and of the lanes of a norm.
inline constexpr std::int64_t tile = 256;

namespace detail {

/// Copies whole tiles of dense arrays into and out of buffers, for one ISA.
template <class Isa, class T>
struct WholeTiles {
    using Decode = void (*)(const void* in, T* out);
    using Encode = void (*)(const T* in, void* out);

    static Decode decoder(Dtype dtype) {
        return visit(dtype, [](auto x) -> Decode { return decode<decltype(x)>; });
    }
    /// double is decoded only to double.
    static Encode encoder(Dtype dtype) {
        return visit(dtype, [](auto x) -> Encode {
            if constexpr ((sizeof(T) == 8) == (sizeof x == 8)) return encode<decltype(x)>;
            return nullptr;
        });
    }

private:
    template <class Stored>
    static void decode(const void* in, T* out) {
        convert::decode(static_cast<const Stored*>(in), tile, out);
    }
    template <class Stored>
    static void encode(const T* in, void* out) {
        convert::encode(in, tile, static_cast<Stored*>(out));
    }
};

/// Copies any elements of any arrays into and out of buffers, for one ISA. Not inlined, because it is large and is
/// called for whole tiles.
template <class Isa>
struct Arrays {
    /// Decodes `count` elements from element `begin` of an array.
    template <class T>
    ADAMCORE_OUTLINE static void load(const void* data, Dtype dtype, const Axes& axes, std::int64_t begin,
                                      std::int64_t count, T* out) {
        visit(dtype, [&](auto x) {
            using Stored = decltype(x);
            constexpr std::int64_t item = sizeof(Stored);
            std::int64_t at = 0;
            for_each_run(
                axes, item, begin, begin + count, [&](std::int64_t offset, std::int64_t stride, std::int64_t run) {
                    const char* in = static_cast<const char*>(data) + offset;
                    if (stride == item) {
                        convert::decode(reinterpret_cast<const Stored*>(in), run, out + at);
                    } else {
                        for (std::int64_t i = 0; i < run; ++i)
                            out[at + i] =
                                static_cast<T>(storage::decode(*reinterpret_cast<const Stored*>(in + i * stride)));
                    }
                    at += run;
                });
        });
    }

    /// Encodes what load() decodes. double is encoded only from double.
    template <class T>
    ADAMCORE_OUTLINE static void store(const T* in, void* data, Dtype dtype, const Axes& axes, std::int64_t begin,
                                       std::int64_t count) {
        visit(dtype, [&](auto x) {
            using Stored = decltype(x);
            if constexpr ((sizeof(T) == 8) == (sizeof(Stored) == 8)) {
                constexpr std::int64_t item = sizeof(Stored);
                std::int64_t at = 0;
                for_each_run(
                    axes, item, begin, begin + count, [&](std::int64_t offset, std::int64_t stride, std::int64_t run) {
                        char* out = static_cast<char*>(data) + offset;
                        if (stride == item) {
                            convert::encode(in + at, run, reinterpret_cast<Stored*>(out));
                        } else {
                            for (std::int64_t i = 0; i < run; ++i)
                                *reinterpret_cast<Stored*>(out + i * stride) = storage::encode<Stored>(in[at + i]);
                        }
                        at += run;
                    });
            }
        });
    }

    /// Multiplies by `factor` and clips to [-limit, limit]. NaN remains NaN.
    template <class T>
    static void scale_and_clip(T* values, std::int64_t count, Scale factor, double limit) {
        const Multiplier<T> by = scale::multiplier<T>(factor);
        const T first = by.first, most = gradient::limit_in<T>(limit);
        if (by.second != 1) {
            for (std::int64_t i = 0; i < count; ++i) values[i] = gradient::held(by(values[i]), most);
            return;
        }
        ADAMCORE_IVDEP
        for (std::int64_t i = 0; i < count; ++i) values[i] = gradient::held(values[i] * first, most);
    }
};

}  // namespace detail

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <cstdint>

#include "adamcore/bias.hpp"
#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/table.hpp"
#include "common/kernel.hpp"

/// What a measurement needs beside the variants: data, clocks set back, a copy, and a wait.
namespace adamcore::experiments {

/// What an array begins with.
enum class Filling {
    params,
    grads,
    zeros,
    zero_rows,    ///< grads, of which one row of 50 is not zero
    wild_params,  ///< with NaN, infinities, subnormal and huge numbers among them
    wild_grads,
    bits,      ///< 16 random bits for each element
    wild_bits  ///< half of them 0x8000: remainders of ties, which small weights keep
};

struct FillArguments {
    void* data;
    std::int64_t count;
    Dtype dtype;
    Filling filling;
    std::int64_t row;
    std::uint32_t seed;
};

/// Random numbers that depend on an element's place alone: a device moves zeros faster than data.
struct Fill {
    using Arguments = FillArguments;

    static constexpr int threads = 256, resident = 1;
    static constexpr std::int64_t per_block = 4096;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const std::int64_t end = math::min(a.count, (at.block + 1) * per_block);
        for (std::int64_t i = at.block * per_block + at.thread; i < end; i += threads) {
            const std::uint32_t random = hash(static_cast<std::uint32_t>(i) ^ a.seed);
            if (a.filling == Filling::bits || a.filling == Filling::wild_bits) {
                const bool is_tie = a.filling == Filling::wild_bits && (random & 0x80000u) != 0;
                static_cast<std::uint16_t*>(a.data)[i] = static_cast<std::uint16_t>(is_tie ? 0x8000u : random);
                continue;
            }
            const float value = value_of(a, i, random);
            if (a.dtype == Dtype::bfloat16) {
                static_cast<bfloat16*>(a.data)[i] = storage::encode<bfloat16>(value);
            } else {
                static_cast<float*>(a.data)[i] = value;
            }
        }
    }

private:
    ADAMCORE_FN static std::uint32_t hash(std::uint32_t x) {
        x = (x ^ x >> 16) * 0x7feb352du;
        x = (x ^ x >> 15) * 0x846ca68bu;
        return x ^ x >> 16;
    }

    /// In +-[1, 2) * 2^-6 or so, the exponent random too; gradients are smaller.
    ADAMCORE_FN static float value_of(const Arguments& a, std::int64_t i, std::uint32_t random) {
        const bool is_grad = a.filling != Filling::params && a.filling != Filling::wild_params;
        if (a.filling == Filling::zeros || (a.filling == Filling::zero_rows && i / a.row % 50 != 0)) return 0;
        if (a.filling == Filling::wild_params || a.filling == Filling::wild_grads) {
            const std::uint32_t kind = random % 97;
            if (kind == 0) return storage::float_of(0x7f800001u + (random >> 10));  // NaN
            if (kind == 1) return storage::float_of(0x7f800000u | (random & 0x80000000u));
            if (kind == 2) return storage::float_of((random & 0x80000000u) | random >> 12);  // subnormal
            if (kind == 3) return storage::float_of((random & 0x80000000u) | (0x7f7f0000u + (random >> 16)));
            if (kind == 4) return 0;
        }
        const std::uint32_t exponent = (is_grad ? 110u : 118u) + (random >> 23 & 7u);
        return storage::float_of((random & 0x80000000u) | exponent << 23 | (hash(random) & 0x7fffffu));
    }
};

/// Clocks whose distance is `stride` bytes, and what the engine's Decide knows of powers.
struct ResetArguments {
    Clock* first;
    cuda::Clock* engine;
    bias::Powers* powers;  ///< or null
    std::int64_t stride, count;
    std::int64_t step;
    bias::Powers known[2];
};

struct Reset {
    using Arguments = ResetArguments;

    static constexpr int threads = 256, resident = 1;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const std::int64_t i = at.block * threads + at.thread;
        if (i >= a.count) return;
        of_set(a, a.first, i)->step = a.step;
        of_set(a, a.engine, i)->step = a.step;
        if (!a.powers) return;
        bias::Powers* const powers = of_set(a, a.powers, i);
        powers[0] = a.known[0];
        powers[1] = a.known[1];
    }

private:
    template <class T>
    ADAMCORE_FN static T* of_set(const Arguments& a, T* first, std::int64_t set) {
        return reinterpret_cast<T*>(reinterpret_cast<char*>(first) + set * a.stride);
    }
};

struct CopyArguments {
    const void* from;
    void* to;
    std::int64_t vectors;  ///< of 16 bytes
};

/// A copy as an update reads and writes: several vectors a thread, all asked for first.
struct Copy {
    using Arguments = CopyArguments;
    using Vector = cuda::Pack<std::uint32_t, 4>;

    static constexpr int threads = 256, resident = 4, batch = 4;
    static constexpr std::int64_t per_block = std::int64_t{threads} * batch;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        const auto* from = cuda::global(static_cast<const Vector*>(a.from));
        auto* to = cuda::global(static_cast<Vector*>(a.to));
        const std::int64_t first = at.block * per_block + at.thread;
        Vector some[batch];
        ADAMCORE_UNROLL
        for (int b = 0; b < batch; ++b) {
            if (first + b * threads < a.vectors) some[b] = from[first + b * threads];
        }
        ADAMCORE_UNROLL
        for (int b = 0; b < batch; ++b) {
            if (first + b * threads < a.vectors) to[first + b * threads] = some[b];
        }
    }
};

/// Lasts so long that the host can queue what comes behind it.
struct DelayArguments {
    std::uint64_t nanoseconds;
};

struct Delay {
    using Arguments = DelayArguments;

    static constexpr int threads = 1, resident = 1;

    ADAMCORE_FN static void run([[maybe_unused]] const Arguments& a, Place) {
#if defined(__CUDA_ARCH__)
        const std::uint64_t start = now();
        while (now() - start < a.nanoseconds) {
        }
#endif
    }

private:
    ADAMCORE_FN static std::uint64_t now() {
        std::uint64_t time = 0;
#if defined(__CUDA_ARCH__)
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(time));
#endif
        return time;
    }
};

}  // namespace adamcore::experiments

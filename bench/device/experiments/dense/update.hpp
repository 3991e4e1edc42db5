#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "common/kernel.hpp"

/// E1 and E2: AdamW on float32 arrays, tile by tile.
namespace adamcore::experiments {

/// From a block's number to its arrays: tile -> tensor -> pointers, or one row.
enum class Rows { indirect, flat };

/// What is told to the caches of arrays that are read and written once.
enum class Cache { none, streaming, no_allocate };

/// Where a step's constants come from: tables, tables behind a grid that may still run, or the kernel's arguments.
enum class Source { memory, awaited, arguments };

struct DenseBase {
    static constexpr int tile = 4096, threads = 256;
    static constexpr int resident = 4;  ///< blocks that are to fit a multiprocessor, which bounds registers
    static constexpr int batch = 2;     ///< vectors of each array that are asked for before the first is used
    static constexpr Rows rows = Rows::indirect;
    static constexpr Cache cache = Cache::none;
    static constexpr Source source = Source::memory;
    static constexpr bool early = false;     ///< whether the first batch is asked for before constants are
    static constexpr bool releases = false;  ///< whether the next grid may begin, and wait, while this one runs
};

template <Cache cache>
ADAMCORE_FN void fetch(const float* from, float (&to)[4]) {
#if defined(__CUDA_ARCH__)
    if constexpr (cache == Cache::streaming) {
        const float4 x = __ldcs(reinterpret_cast<const float4*>(from));
        to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
        return;
    }
    if constexpr (cache == Cache::no_allocate) {
        asm volatile("ld.global.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
                     : "=f"(to[0]), "=f"(to[1]), "=f"(to[2]), "=f"(to[3])
                     : "l"(from));
        return;
    }
#endif
    cuda::load_wide(from, to);
}

template <Cache cache>
ADAMCORE_FN void put(const float (&from)[4], float* to) {
#if defined(__CUDA_ARCH__)
    if constexpr (cache != Cache::none) {
        __stcs(reinterpret_cast<float4*>(to), make_float4(from[0], from[1], from[2], from[3]));
        return;
    }
#endif
    cuda::store_wide(from, to);
}

template <class C>
struct Dense {
    using Arguments = UpdateArguments;
    using Step = AdamW::Step<float>;

    static constexpr int threads = C::threads, resident = C::resident;
    static constexpr int width = 4;
    static constexpr int stride = threads * width;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if constexpr (C::releases) release_next_grid();
        constexpr bool asks_first = C::source == Source::memory && C::rows == Rows::indirect && !C::early;
        if constexpr (asks_first) {
            if (a.control->skip) return;
        }
        Part part;
        if (!find(a, at.block, part)) return;
        if constexpr (C::early) return after_loads(a, part, at.thread);
        if constexpr (C::source == Source::awaited) await_previous_grid();
        if constexpr (!asks_first && C::source != Source::arguments) {
            if (a.control->skip) return;
        }
        const Known known = constants_of(a, part);
        sweep(known, part, at.thread);
    }

private:
    struct Part {
        float *param, *first, *second;
        const float* grad;
        std::int64_t begin;  ///< of the tile in these arrays; 0 where a row points to it
        std::int64_t count;  ///< elements from there on
        int head;            ///< elements before
        std::int32_t tensor, clock;

        ADAMCORE_FN bool is_wide() const {
            return cuda::is_wide<width>(param + begin) && cuda::is_wide<width>(grad + begin) &&
                   cuda::is_wide<width>(first + begin) && cuda::is_wide<width>(second + begin);
        }
    };

    struct Known {
        Step step;
        float scale;
    };

    ADAMCORE_FN static bool find(const Arguments& a, std::int64_t block, Part& part) {
        if constexpr (C::rows == Rows::flat) {
            const Row row = a.rows[block];
            // A tensor without a gradient has no rows: nothing waits for the answer.
            const auto* grad = static_cast<const float*>(a.grads[row.tensor]);
            part = {cuda::global(row.param),
                    cuda::global(row.first),
                    cuda::global(row.second),
                    cuda::global(grad) + row.begin,
                    0,
                    row.count,
                    row.head,
                    row.tensor,
                    row.clock};
        } else {
            const Tile tile = a.tiles[block];
            const Tensor& tensor = a.tensors[tile.tensor];
            const auto* grad = static_cast<const float*>(a.grads[tile.tensor]);
            if (!grad) return false;
            auto* param = static_cast<float*>(tensor.param);
            const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(param) / sizeof(float));
            const std::int64_t head = math::min((width - place % width) % width, tensor.size);
            const std::int64_t begin = head + std::int64_t{tile.index} * C::tile;
            part = {cuda::global(param),
                    cuda::global(static_cast<float*>(tensor.state[0])),
                    cuda::global(static_cast<float*>(tensor.state[1])),
                    cuda::global(grad),
                    begin,
                    math::min<std::int64_t>(C::tile, tensor.size - begin),
                    tile.index == 0 ? static_cast<int>(head) : 0,
                    tile.tensor,
                    tensor.group};
        }
        return true;
    }

    ADAMCORE_FN static Known constants_of(const Arguments& a, const Part& part) {
        if constexpr (C::source == Source::arguments) {
            return {a.step, a.scale};
        } else {
            const Constants& constants = a.constants[part.clock];
            const double factor = a.tensor_factors ? a.tensor_factors[part.tensor] : 1;
            const double scale = a.tensor_factors ? a.control->scale * factor : a.control->scale;
            return {*reinterpret_cast<const Step*>(constants.step.bytes),
                    static_cast<float>(constants.grad_scale * scale)};
        }
    }

    template <int Batch>
    struct Vectors {
        float grad[Batch][width], param[Batch][width], first[Batch][width], second[Batch][width];

        ADAMCORE_FN void ask(const Part& part, int b, std::int64_t at) {
            fetch<C::cache>(part.param + at, param[b]);
            fetch<C::cache>(part.first + at, first[b]);
            fetch<C::cache>(part.second + at, second[b]);
            fetch<C::cache>(part.grad + at, grad[b]);  // whose address comes last
        }

        ADAMCORE_FN void finish(const Known& known, const Part& part, int b, std::int64_t at) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k)
                AdamW::update<float>(known.step, grad[b][k] * known.scale, param[b][k], first[b][k], second[b][k]);
            put<C::cache>(first[b], part.first + at);
            put<C::cache>(second[b], part.second + at);
            put<C::cache>(param[b], part.param + at);
        }
    };

    ADAMCORE_FN static void sweep(const Known& known, const Part& part, int thread) {
        const std::int64_t whole = part.count / width;
        if (part.is_wide()) {
            if (part.count == C::tile) {
                ADAMCORE_UNROLL
                for (int at = 0; at < C::tile; at += C::batch * stride) {
                    Vectors<C::batch> vectors;
                    ADAMCORE_UNROLL
                    for (int b = 0; b < C::batch; ++b)
                        vectors.ask(part, b, part.begin + at + thread * width + b * stride);
                    ADAMCORE_UNROLL
                    for (int b = 0; b < C::batch; ++b)
                        vectors.finish(known, part, b, part.begin + at + thread * width + b * stride);
                }
                return with_head(known, part, thread);
            }
            for (std::int64_t at = thread; at < whole; at += threads) {
                Vectors<1> vector;
                vector.ask(part, 0, part.begin + at * width);
                vector.finish(known, part, 0, part.begin + at * width);
            }
        } else {
            for (std::int64_t at = thread; at < whole; at += threads) narrow(known, part, part.begin + at * width);
        }
        with_tail(known, part, thread);
    }

    /// The first batch of each array is on its way before anything is known of the step.
    ADAMCORE_FN static void after_loads(const Arguments& a, const Part& part, int thread) {
        const bool wide = part.is_wide();
        const std::int64_t end = part.begin + part.count - width, start = part.begin + thread * width;
        Vectors<C::batch> vectors;
        if (wide) ask_within(vectors, part, start, end);
        if constexpr (C::source == Source::awaited) await_previous_grid();
        if constexpr (C::source != Source::arguments) {
            if (a.control->skip) return;
        }
        const Known known = constants_of(a, part);
        if (wide) {
            finish_within(vectors, known, part, start, end);
            for (std::int64_t at = start + C::batch * stride; at <= end; at += C::batch * stride) {
                ask_within(vectors, part, at, end);
                finish_within(vectors, known, part, at, end);
            }
        } else {
            for (std::int64_t at = start; at <= end; at += stride) narrow(known, part, at);
        }
        with_tail(known, part, thread);
    }

    ADAMCORE_FN static void ask_within(Vectors<C::batch>& vectors, const Part& part, std::int64_t at,
                                       std::int64_t end) {
        ADAMCORE_UNROLL
        for (int b = 0; b < C::batch; ++b) {
            if (at + b * stride <= end) vectors.ask(part, b, at + b * stride);
        }
    }

    ADAMCORE_FN static void finish_within(Vectors<C::batch>& vectors, const Known& known, const Part& part,
                                          std::int64_t at, std::int64_t end) {
        ADAMCORE_UNROLL
        for (int b = 0; b < C::batch; ++b) {
            if (at + b * stride <= end) vectors.finish(known, part, b, at + b * stride);
        }
    }

    /// A vector of arrays that are not all aligned.
    ADAMCORE_FN static void narrow(const Known& known, const Part& part, std::int64_t at) {
        float grad[width], param[width], first[width], second[width];
        cuda::load(part.grad + at, grad);
        cuda::load(part.param + at, param);
        cuda::load(part.first + at, first);
        cuda::load(part.second + at, second);
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k)
            AdamW::update<float>(known.step, grad[k] * known.scale, param[k], first[k], second[k]);
        cuda::store(first, part.first + at);
        cuda::store(second, part.second + at);
        cuda::store(param, part.param + at);
    }

    ADAMCORE_FN static void with_tail(const Known& known, const Part& part, int thread) {
        const std::int64_t at = part.count / width * width + thread;
        if (at < part.count) one(known, part, part.begin + at);
        with_head(known, part, thread);
    }

    ADAMCORE_FN static void with_head(const Known& known, const Part& part, int thread) {
        if (thread < part.head) one(known, part, C::rows == Rows::flat ? thread - part.head : thread);
    }

    ADAMCORE_FN static void one(const Known& known, const Part& part, std::int64_t at) {
        AdamW::update<float>(known.step, part.grad[at] * known.scale, part.param[at], part.first[at], part.second[at]);
    }
};

/// The same from the last block to the first: what a pass before has read last may still be in the cache.
template <class C>
struct Reversed {
    using Arguments = UpdateArguments;

    static constexpr int threads = C::threads, resident = C::resident;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        Dense<C>::run(a, {a.blocks - 1 - at.block, at.thread});
    }
};

}  // namespace adamcore::experiments

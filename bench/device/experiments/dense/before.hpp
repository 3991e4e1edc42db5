#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/access.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/rule.hpp"
#include "common/before.hpp"
#include "common/kernel.hpp"

/// The engine's update of dense arrays as it stood when the experiments were made, line by line: the base of E1 and E2.
/// It has the path of rules that add weight decay to the gradient, which AdamW never takes.
namespace adamcore::experiments::before {

inline constexpr int threads = 256;
inline constexpr std::int64_t tile = 4096;

/// One block's part of a tensor: elements [first, first + count), and with the first tile the `head` before them.
struct Part {
    std::int64_t first, count;
    int head;

    /// `head` elements come before the first whole vector.
    ADAMCORE_FN static Part of(const Tensor& tensor, std::uint32_t index, std::int64_t head) {
        const std::int64_t most = math::min(head, tensor.size);
        const std::int64_t first = most + index * tile;
        return {first, math::min(tile, tensor.size - first), index == 0 ? static_cast<int>(most) : 0};
    }
};

/// How many elements come before the first that lies on a multiple of N elements.
template <int N>
ADAMCORE_FN std::int64_t elements_before_whole(const void* array, std::int64_t item_size) {
    const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(array)) / item_size;
    return (N - place % N) % N;
}

ADAMCORE_FN double scale_of(const UpdateArguments& a, std::int32_t tensor) {
    return a.tensor_factors ? a.control->scale * a.tensor_factors[tensor] : a.control->scale;
}

/// Arrays that are all of the type T that a rule computes in, and dense.
template <class Rule, class T, class = std::make_index_sequence<Rule::slots.size()>>
struct DenseUpdate;

template <class Rule, class T, std::size_t... I>
struct DenseUpdate<Rule, T, std::index_sequence<I...>> {
    using Arguments = UpdateArguments;
    using Step = typename Rule::template Step<T>;

    static constexpr int threads = before::threads;
    static constexpr int width = cuda::widest / sizeof(T);
    /// Vectors of each array that are asked for before the first is used: memory is far.
    static constexpr int batch = sizeof...(I) <= 2 ? 2 : 1;
    /// Blocks that are to fit a multiprocessor at a time, which bounds registers.
    static constexpr int resident = sizeof(T) == 4 ? 4 : 2;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.control->skip) return;
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const T* grad = static_cast<const T*>(a.grads[here.tensor]);
        if (!grad) return;
        const Constants& constants = a.constants[tensor.group];
        const Step step = *reinterpret_cast<const Step*>(constants.step.bytes);
        const auto scale = static_cast<T>(constants.grad_scale * scale_of(a, here.tensor));
        const Arrays arrays{cuda::global(static_cast<T*>(tensor.param)),
                            cuda::global(grad),
                            {cuda::global(static_cast<T*>(tensor.state[I]))...}};
        const Part part = Part::of(tensor, here.index, elements_before_whole<width>(tensor.param, sizeof(T)));
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return sweep<true>(step, scale, arrays, part, at.thread);
        }
        sweep<false>(step, scale, arrays, part, at.thread);
    }

private:
    static constexpr std::size_t slots = sizeof...(I);

    struct Arrays {
        T* param;
        const T* grad;
        T* state[slots + 1];

        ADAMCORE_FN bool are_wide(std::int64_t at) const {
            return cuda::is_wide<width>(param + at) && cuda::is_wide<width>(grad + at) &&
                   (cuda::is_wide<width>(state[I] + at) && ...);
        }
    };

    template <bool HasL2>
    ADAMCORE_FN static void sweep(const Step& step, T scale, const Arrays& arrays, const Part& part, int thread) {
        const std::int64_t whole = part.count / width;
        if (arrays.are_wide(part.first)) {
            constexpr int stride = threads * width;
            if (part.count == tile) {
                ADAMCORE_UNROLL
                for (int at = 0; at < tile; at += batch * stride)
                    vectors<HasL2, batch, true>(step, scale, arrays, part.first + at + thread * width, stride);
                return with_head<HasL2>(step, scale, arrays, part, thread);
            }
            for (std::int64_t at = thread; at < whole; at += threads)
                vectors<HasL2, 1, true>(step, scale, arrays, part.first + at * width, 0);
        } else {
            for (std::int64_t at = thread; at < whole; at += threads)
                vectors<HasL2, 1, false>(step, scale, arrays, part.first + at * width, 0);
        }
        if (whole * width + thread < part.count) one<HasL2>(step, scale, arrays, part.first + whole * width + thread);
        with_head<HasL2>(step, scale, arrays, part, thread);
    }

    template <bool HasL2>
    ADAMCORE_FN static void with_head(const Step& step, T scale, const Arrays& arrays, const Part& part, int thread) {
        if (thread < part.head) one<HasL2>(step, scale, arrays, thread);
    }

    /// Batch vectors, `stride` elements apart; each array's as its own alignment allows unless all are Wide.
    template <bool HasL2, int Batch, bool Wide>
    ADAMCORE_FN static void vectors(const Step& step, T scale, const Arrays& arrays, std::int64_t at,
                                    [[maybe_unused]] std::int64_t stride) {
        T grad[Batch][width], param[Batch][width], state[slots + 1][Batch][width];
        const auto fetch = [](const T* from, T(&to)[width]) {
            if constexpr (Wide) {
                cuda::load_wide(from, to);
            } else {
                cuda::load(from, to);
            }
        };
        const auto put = [](const T(&from)[width], T* to) {
            if constexpr (Wide) {
                cuda::store_wide(from, to);
            } else {
                cuda::store(from, to);
            }
        };
        ADAMCORE_UNROLL
        for (int b = 0; b < Batch; ++b) {
            fetch(arrays.grad + at + b * stride, grad[b]);
            fetch(arrays.param + at + b * stride, param[b]);
            (fetch(arrays.state[I] + at + b * stride, state[I][b]), ...);
        }
        ADAMCORE_UNROLL
        for (int b = 0; b < Batch; ++b) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k)
                Rule::template update<T>(step, gradient::seen<HasL2>(step, grad[b][k], scale, param[b][k]), param[b][k],
                                         state[I][b][k]...);
            (put(state[I][b], arrays.state[I] + at + b * stride), ...);
            put(param[b], arrays.param + at + b * stride);
        }
    }

    template <bool HasL2>
    ADAMCORE_FN static void one(const Step& step, T scale, const Arrays& arrays, std::int64_t at) {
        Rule::template update<T>(step, gradient::seen<HasL2>(step, arrays.grad[at], scale, arrays.param[at]),
                                 arrays.param[at], arrays.state[I][at]...);
    }
};

}  // namespace adamcore::experiments::before

namespace adamcore::experiments {

using DenseBefore = before::DenseUpdate<before::AdamW, float>;

}  // namespace adamcore::experiments

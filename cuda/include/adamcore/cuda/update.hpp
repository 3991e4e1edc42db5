#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/cuda/weights.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/rule.hpp"

/// Updates, tile by tile. What a kernel does is written as a function of a thread's place: tests run it on the CPU,
/// thread after thread.
namespace adamcore::cuda {

struct UpdateArguments {
    const Tile* tiles;
    const Tensor* tensors;
    const void* const* grads;
    const Constants* constants;  ///< by clock
    const Control* control;
    const double* tensor_factors;  ///< or null
    double limit;                  ///< elements of gradients are held to it
    bool by_units;
    std::uint64_t seed;
};

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

    static constexpr int width = widest / sizeof(T);
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
        const Arrays arrays{
            global(static_cast<T*>(tensor.param)), global(grad), {global(static_cast<T*>(tensor.state[I]))...}};
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
            return is_wide<width>(param + at) && is_wide<width>(grad + at) && (is_wide<width>(state[I] + at) && ...);
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
                load_wide(from, to);
            } else {
                load(from, to);
            }
        };
        const auto put = [](const T(&from)[width], T* to) {
            if constexpr (Wide) {
                store_wide(from, to);
            } else {
                store(from, to);
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

/// Arrays of any types and layouts, and all that precision and clipping by elements ask for.
template <class Rule, class T, class = std::make_index_sequence<Rule::slots.size()>>
struct StoredUpdate;

template <class Rule, class T, std::size_t... I>
struct StoredUpdate<Rule, T, std::index_sequence<I...>> {
    using Arguments = UpdateArguments;
    using Step = typename Rule::template Step<T>;

    /// Neighbours that a thread updates: a vector of what takes least room.
    static constexpr int width = 2 * widest / sizeof(T);
    static constexpr int resident = 2;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.control->skip) return;
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        if (!a.grads[here.tensor]) return;
        const Task task{a, tensor, a.grads[here.tensor], a.constants[tensor.group], scale_of(a, here.tensor)};
        const bool free_start = !tensor.layout && !(is_half(tensor.dtype) && counts_from_start(tensor.weights));
        const auto item = static_cast<std::int64_t>(size_of(tensor.dtype));
        const Part part =
            Part::of(tensor, here.index, free_start ? elements_before_whole<width>(tensor.param, item) : 0);
        for (std::int64_t begin = std::int64_t{at.thread} * width; begin < part.count; begin += threads * width)
            update(task, part.first + begin, static_cast<int>(math::min<std::int64_t>(width, part.count - begin)));
        if (part.head > 0 && at.thread == threads - 1) update(task, 0, part.head);
    }

private:
    static constexpr std::size_t slots = sizeof...(I);

    struct Task {
        const Arguments& a;
        const Tensor& tensor;
        const void* grad;
        const Constants& constants;
        double scale;
    };

    ADAMCORE_FN static void update(const Task& task, std::int64_t begin, int count) {
        const Tensor& tensor = task.tensor;
        const Axes param_axes = tensor.layout ? tensor.layout->param : Axes{};
        const Axes grad_axes = tensor.layout ? tensor.layout->grad : Axes{};
        T param[width], grad[width], state[slots + 1][width];
        read(task.grad, tensor.grad_dtype, grad_axes, begin, count, grad);
        read(tensor.param, tensor.dtype, param_axes, begin, count, param);
        (read(tensor.state[I], tensor.state_dtype, Axes{}, begin, count, state[I]), ...);

        const bool prepares = task.a.by_units || task.a.limit < Treatment::no_limit;
        if (prepares) prepare(task, begin, grad);
        const double scale = prepares ? task.constants.grad_scale : task.constants.grad_scale * task.scale;
        with_kept_weights(tensor, begin, count, [&](const auto& kept) { kept.recover(param); });
        apply(task.constants, static_cast<T>(scale), grad, param, state);

        (write(state[I], tensor.state[I], tensor.state_dtype, Axes{}, begin, count), ...);
        const bool is_kept = with_kept_weights(tensor, begin, count, [&](const auto& kept) {
            store_kept(kept, param, {task.a.seed, task.constants.count}, param_axes);
        });
        if (!is_kept) write(param, tensor.param, tensor.dtype, param_axes, begin, count);
    }

    ADAMCORE_FN static void apply(const Constants& constants, T scale, const T (&grad)[width], T (&param)[width],
                                  T (&state)[slots + 1][width]) {
        const Step step = *reinterpret_cast<const Step*>(constants.step.bytes);
        const auto with = [&](auto has_l2) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k)
                Rule::template update<T>(step, gradient::seen<has_l2.value>(step, grad[k], scale, param[k]), param[k],
                                         state[I][k]...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }

    /// Scales gradients, by units if they have factors, and holds them to their limit.
    ADAMCORE_FN static void prepare(const Task& task, std::int64_t begin, T (&grad)[width]) {
        const T limit = gradient::limit_in<T>(task.a.limit);
        const Tensor& tensor = task.tensor;
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) {
            const std::int64_t element = math::min(begin + k, tensor.size - 1);
            const double factor =
                task.a.by_units ? task.scale * tensor.unit_factors[element / tensor.unit_size] : task.scale;
            grad[k] = gradient::held(grad[k] * static_cast<T>(factor), limit);
        }
    }

    /// Calls `f` with the KeptWeights of a half-precision parameter of which something is kept; false without any.
    template <class F>
    ADAMCORE_FN static bool with_kept_weights([[maybe_unused]] const Tensor& tensor,
                                              [[maybe_unused]] std::int64_t begin, [[maybe_unused]] int count,
                                              [[maybe_unused]] F&& f) {
        if constexpr (sizeof(T) == 4) {
            if (tensor.weights == Weights::plain || !is_half(tensor.dtype)) return false;
            if (tensor.dtype == Dtype::bfloat16) {
                f(KeptWeights<bfloat16, width>{tensor, begin, count});
            } else {
                f(KeptWeights<float16, width>{tensor, begin, count});
            }
            return true;
        }
        return false;
    }

    template <class Stored>
    ADAMCORE_FN static void store_kept(const KeptWeights<Stored, width>& kept, const float (&weights)[width],
                                       const Chance& chance, const Axes& axes) {
        Stored rounded[width];
        kept.keep(weights, chance, rounded);
        auto* const param = static_cast<Stored*>(kept.tensor.param);
        if (axes.count == 0) return store(rounded, kept.count, param + kept.begin);
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) {
            if (k < kept.count) *element_of<Stored>(param, axes, kept.begin + k) = rounded[k];
        }
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cuda/access.hpp"
#include "adamcore/cuda/elements/operands.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/rule/check.hpp"

/// Updates, tile by tile. Kernels are written as functions of a thread's position, so that tests can run them on the
/// CPU, thread after thread.
namespace adamcore::cuda {

/// What updates and passes know of the tensors and of the step.
struct StepArguments {
    const Tensor* tensors;
    const void* const* grads;
    const Constants* constants;   ///< by clock; null: the host has computed them, and they are in `hosted`
    const Control* control;       ///< null: the step is not skipped, and gradients are multiplied by `scale`
    const Scale* tensor_factors;  ///< or null
    Scale scale;
    double limit;  ///< the limit of gradient elements
    bool by_units;
    std::uint64_t seed;

    ADAMCORE_FN bool skips() const { return control && control->skip; }
};

struct UpdateArguments : StepArguments {
    const Tile* tiles;
    float* const* computed;  ///< by tensor: where weights go before they are rounded to half precision; or null
    HostedConstants hosted[few_clocks];
};

/// One block's part of a tensor: elements [first, first + count), and for the first tile also the `head` before them.
struct Part {
    std::int64_t first, count;
    int head;

    /// `head` is the number of elements before the first whole vector.
    ADAMCORE_FN static Part of(const Tensor& tensor, std::uint32_t index, std::int64_t head, std::int64_t size = tile) {
        const std::int64_t most = math::min(head, tensor.size);
        const std::int64_t first = most + index * size;
        // The head may leave nothing for the last tile.
        const std::int64_t left = math::max<std::int64_t>(tensor.size - first, 0);
        return {first, math::min(size, left), index == 0 ? static_cast<int>(most) : 0};
    }
};

/// The number of elements before the first one at a multiple of N elements, of 2, 4 or 8 bytes each.
template <int N>
ADAMCORE_FN std::int64_t elements_before_whole(const void* array, std::int64_t item_size) {
    const auto item = static_cast<std::uint32_t>(item_size);
    const auto bytes_before =
        (0u - static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(array))) & (N * item - 1);
    return bytes_before / item;  // 32-bit division, because devices divide longer numbers slowly
}

ADAMCORE_FN Scale scale_of(const StepArguments& a, std::int32_t tensor) {
    const Scale scale = a.control ? a.control->scale() : a.scale;
    return a.tensor_factors ? scale * a.tensor_factors[tensor] : scale;
}

/// The constants of a clock, with the rule's own Step type.
template <class Step>
struct Known {
    Step step;
    double grad_scale;
    std::int64_t count;

    template <class C>
    ADAMCORE_FN static Known of(const C& constants) {
        static_assert(sizeof(Step) <= sizeof(constants.step.bytes));
        return {*reinterpret_cast<const Step*>(constants.step.bytes), constants.grad_scale, constants.count};
    }
    ADAMCORE_FN static Known of(const StepArguments& a, std::int32_t clock) { return of(a.constants[clock]); }
    /// (Two branches, because the two are in different kinds of memory.)
    ADAMCORE_FN static Known of(const UpdateArguments& a, std::int32_t clock) {
        if constexpr (sizeof(Step) <= sizeof(HostedConstants::step)) {
            if (!a.constants) return of(a.hosted[clock]);
        }
        return of(a.constants[clock]);
    }
};

/// The number of a clock's step.
ADAMCORE_FN std::int64_t count_of(const StepArguments& a, std::int32_t clock) { return a.constants[clock].count; }
ADAMCORE_FN std::int64_t count_of(const UpdateArguments& a, std::int32_t clock) {
    return a.constants ? a.constants[clock].count : a.hosted[clock].count;
}

/// Updates arrays that are all dense and of the compute type T.
template <class Rule, class T, class = std::make_index_sequence<operand_count<Rule>>>
struct DenseUpdate;

template <class Rule, class T, std::size_t... I>
struct DenseUpdate<Rule, T, std::index_sequence<I...>> {
    using Arguments = UpdateArguments;
    using Step = typename Rule::template Step<T>;

    static constexpr int width = widest / sizeof(T);
    /// The number of vectors of each array that are requested before the first is used, because memory is far away.
    static constexpr int batch = sizeof...(I) <= 2 ? 2 : 1;
    /// The number of blocks that should fit on a multiprocessor at a time, which limits the registers.
    static constexpr int resident = sizeof(T) == 4 ? 4 : 2;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.skips()) return;
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        const T* grad = static_cast<const T*>(a.grads[here.tensor]);
        if (!grad) return;
        const auto known = Known<Step>::of(a, tensor.group);
        const Step& step = known.step;
        const auto scale = scale::multiplier<T>(known.grad_scale * scale_of(a, here.tensor));
        const Part part =
            Part::of(tensor, here.index, elements_before_whole<width>(tensor.param, sizeof(T)), dense_tile);
        const Arrays arrays{global(static_cast<T*>(tensor.param)),
                            global(grad),
                            {global(static_cast<T*>(tensor.state[Operand<Rule, I>::place]))...},
                            tensor,
                            begin_of(tensor, part.first)};
        if constexpr (rule::has_l2<Step>::value && reads_grad) {
            if (step.l2 != 0) return sweep<true>(step, scale, arrays, part, at.thread);
        }
        sweep<false>(step, scale, arrays, part, at.thread);
    }

private:
    static constexpr std::size_t slots = sizeof...(I);
    static constexpr unsigned reads = rule::update_reads<Rule>, writes = rule::update_writes<Rule>;
    static constexpr bool reads_grad = (reads & rule::grad) != 0;
    static constexpr bool has_lines =
        ((!Operand<Rule, I>::is_of_elements && (reads & Operand<Rule, I>::bit) != 0) || ...);

    template <std::size_t K>
    static constexpr bool is_read = Operand<Rule, K>::is_of_elements && (reads & Operand<Rule, K>::bit) != 0;
    template <std::size_t K>
    static constexpr bool is_written = Operand<Rule, K>::is_of_elements && (writes & Operand<Rule, K>::bit) != 0;

    struct Nothing {};
    ADAMCORE_FN static auto begin_of([[maybe_unused]] const Tensor& tensor, [[maybe_unused]] std::int64_t first) {
        if constexpr (has_lines) {
            return Cell::of(tensor, first);
        } else {
            return Nothing{};
        }
    }

    struct Arrays {
        T* param;
        const T* grad;
        T* state[slots + 1];
        const Tensor& tensor;
        std::conditional_t<has_lines, Cell, Nothing> begin;  ///< of the tile's first vector

        ADAMCORE_FN bool are_wide(std::int64_t at) const {
            return is_wide<width>(param + at) && (!reads_grad || is_wide<width>(grad + at)) &&
                   ((!is_read<I> || is_wide<width>(state[I] + at)) && ...);
        }
        /// The elements of arrays of rows and of columns that belong to N neighbouring elements.
        template <int N>
        ADAMCORE_FN void look_up(Cell cell, T (&to)[slots + 1][N]) const {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k) {
                (look_up<I>(cell, to[I][k]), ...);
                cell.step(tensor);
            }
        }
        template <std::size_t K>
        ADAMCORE_FN void look_up(const Cell& cell, T& to) const {
            if constexpr (!Operand<Rule, K>::is_of_elements && (reads & Operand<Rule, K>::bit) != 0)
                to = state[K][Operand<Rule, K>::is_of_rows ? cell.row : cell.begin + cell.column];
        }
    };

    template <bool HasL2>
    ADAMCORE_FN static void sweep(const Step& step, Multiplier<T> scale, const Arrays& arrays, const Part& part,
                                  int thread) {
        const std::int64_t whole = part.count / width;
        if (arrays.are_wide(part.first)) {
            constexpr int stride = threads * width;
            if (part.count == dense_tile) {
                ADAMCORE_UNROLL
                for (int at = 0; at < dense_tile; at += batch * stride)
                    vectors<HasL2, batch, true>(step, scale, arrays, part.first, at + thread * width, stride);
                return with_head<HasL2>(step, scale, arrays, part, thread);
            }
            for (std::int64_t at = thread; at < whole; at += threads)
                vectors<HasL2, 1, true>(step, scale, arrays, part.first, at * width, 0);
        } else {
            for (std::int64_t at = thread; at < whole; at += threads)
                vectors<HasL2, 1, false>(step, scale, arrays, part.first, at * width, 0);
        }
        if (whole * width + thread < part.count) one<HasL2>(step, scale, arrays, part.first + whole * width + thread);
        with_head<HasL2>(step, scale, arrays, part, thread);
    }

    template <bool HasL2>
    ADAMCORE_FN static void with_head(const Step& step, Multiplier<T> scale, const Arrays& arrays, const Part& part,
                                      int thread) {
        if (thread < part.head) one<HasL2>(step, scale, arrays, thread);
    }

    /// Updates Batch vectors, `stride` elements apart, the first `distance` elements after `first`. Accesses depend on
    /// each array's alignment, unless all are Wide.
    template <bool HasL2, int Batch, bool Wide>
    ADAMCORE_FN static void vectors(const Step& step, Multiplier<T> scale, const Arrays& arrays, std::int64_t first,
                                    std::int64_t distance, [[maybe_unused]] std::int64_t stride) {
        const std::int64_t at = first + distance;
        T grad[Batch][width] = {}, param[Batch][width], state[slots + 1][Batch][width];
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
            if constexpr (reads_grad) fetch(arrays.grad + at + b * stride, grad[b]);
            fetch(arrays.param + at + b * stride, param[b]);
            (fetch_slot<I>(fetch, arrays.state[I] + at + b * stride, state[I][b]), ...);
        }
        if constexpr (has_lines) {
            ADAMCORE_UNROLL
            for (int b = 0; b < Batch; ++b) {
                T line[slots + 1][width];
                arrays.look_up(arrays.begin.after(arrays.tensor, distance + b * stride), line);
                (take_line<I>(line[I], state[I][b]), ...);
            }
        }
        ADAMCORE_UNROLL
        for (int b = 0; b < Batch; ++b) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k)
                Rule::template update<T>(step, gradient::seen<HasL2>(step, grad[b][k], scale, param[b][k]), param[b][k],
                                         state[I][b][k]...);
            (put_slot<I>(put, state[I][b], arrays.state[I] + at + b * stride), ...);
            put(param[b], arrays.param + at + b * stride);
        }
    }

    /// An array that is not read has zeros in its place.
    template <std::size_t K, class Fetch>
    ADAMCORE_FN static void fetch_slot(Fetch&& fetch, const T* from, T (&to)[width]) {
        if constexpr (is_read<K>) {
            fetch(from, to);
        } else {
            for (T& each : to) each = 0;
        }
    }
    template <std::size_t K, class Put>
    ADAMCORE_FN static void put_slot(Put&& put, const T (&from)[width], T* to) {
        if constexpr (is_written<K>) put(from, to);
    }
    template <std::size_t K>
    ADAMCORE_FN static void take_line(const T (&from)[width], T (&to)[width]) {
        if constexpr (!Operand<Rule, K>::is_of_elements) {
            for (int k = 0; k < width; ++k) to[k] = from[k];
        }
    }

    template <bool HasL2>
    ADAMCORE_FN static void one(const Step& step, Multiplier<T> scale, const Arrays& arrays, std::int64_t at) {
        T state[slots + 1][1] = {};
        const T grad = reads_grad ? arrays.grad[at] : T(0);
        if constexpr (has_lines) arrays.look_up(Cell::of(arrays.tensor, at), state);
        (fetch_one<I>(arrays.state[I] + at, state[I][0]), ...);
        Rule::template update<T>(step, gradient::seen<HasL2>(step, grad, scale, arrays.param[at]), arrays.param[at],
                                 state[I][0]...);
        (put_one<I>(state[I][0], arrays.state[I] + at), ...);
    }
    template <std::size_t K>
    ADAMCORE_FN static void fetch_one(const T* from, T& to) {
        if constexpr (is_read<K>) to = *from;
    }
    template <std::size_t K>
    ADAMCORE_FN static void put_one(T from, T* to) {
        if constexpr (is_written<K>) *to = from;
    }
};

}  // namespace adamcore::cuda

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cuda/operands.hpp"
#include "adamcore/cuda/spots.hpp"
#include "adamcore/cuda/state.hpp"
#include "adamcore/cuda/update.hpp"
#include "adamcore/cuda/weights.hpp"

namespace adamcore::cuda {

/// How a kernel uses the arrays of a rule: what it reads and writes (rule::param, ...), whether all of them are dense
/// and of the compute type, and whether its blocks draw the numbers for rounding at random before they visit a tile.
template <class A, unsigned Reads, unsigned Writes, bool IsDense, bool DrawsAhead>
struct Access {
    using Arguments = A;
    static constexpr unsigned reads = Reads, writes = Writes;
    static constexpr bool is_dense = IsDense, draws_ahead = DrawsAhead;
};

/// Decodes elements of any types and layouts with everything that precision and clipping need, lets a function compute,
/// and encodes the results.
template <class Rule, class T, class Access, class = std::make_index_sequence<operand_count<Rule>>>
struct Elements;

template <class Rule, class T, class Access, std::size_t... I>
struct Elements<Rule, T, Access, std::index_sequence<I...>> {
    using Arguments = typename Access::Arguments;
    using Step = typename Rule::template Step<T>;

    /// The number of neighbouring elements that a thread processes at a time: one vector of T.
    static constexpr int width = widest / sizeof(T);
    static constexpr bool is_dense = Access::is_dense;
    static constexpr bool has_lines =
        ((!Operand<Rule, I>::is_of_elements && (Access::reads & Operand<Rule, I>::bit) != 0) || ...);
    static constexpr bool reads_grad = (Access::reads & rule::grad) != 0;
    static constexpr bool writes_param = (Access::writes & rule::param) != 0;
    /// (An L2 term reads the parameter.)
    static constexpr bool may_have_l2 = rule::has_l2<Step>::value && reads_grad;
    static constexpr bool reads_param = (Access::reads & rule::param) != 0 || may_have_l2 || writes_param;

    template <std::size_t K>
    static constexpr bool is_read = Operand<Rule, K>::is_of_elements && (Access::reads & Operand<Rule, K>::bit) != 0;
    template <std::size_t K>
    static constexpr bool is_written = Operand<Rule, K>::is_of_elements && (Access::writes & Operand<Rule, K>::bit) != 0;
    /// Whether arrays that are written may be of half precision.
    static constexpr bool writes_halves =
        sizeof(T) == 4 && !is_dense && ((is_written<I> && !Operand<Rule, I>::is_full) || ...);

    struct Nothing {};
    /// What the threads of a block draw for each other, before elements are rounded at random.
    struct Drawn {
        std::conditional_t<writes_param && sizeof(T) == 4 && !is_dense, RandomWords, Nothing> random;
        std::conditional_t<writes_halves, StateKeys<Rule::slots.size()>, Nothing> keys;
    };

    struct Task {
        const Arguments& a;
        std::int32_t place;
        const Tensor& tensor;
        const void* grad;
        Step step;
        Multiplier<T> scale;  ///< of gradients; applied after prepare(), if that is called
        std::int64_t first;   ///< where the tile begins
        std::conditional_t<has_lines, Cell, Nothing> cell;  ///< of `first`
        std::int64_t count;                                 ///< the number of the step
        const Drawn* drawn;                                 ///< what the block has drawn, or null

        ADAMCORE_FN static Task of(const Arguments& a, std::int32_t place, std::int64_t first, const Drawn* drawn) {
            const Tensor& tensor = a.tensors[place];
            const auto known = Known<Step>::of(a, tensor.group);
            const Scale scale = prepares(a) ? Scale(known.grad_scale) : known.grad_scale * scale_of(a, place);
            return {a,     place,
                    tensor, a.grads[place],
                    known.step,
                    scale::multiplier<T>(scale),
                    first, cell_of(tensor, first),
                    known.count,
                    drawn};
        }
        ADAMCORE_FN static auto cell_of([[maybe_unused]] const Tensor& tensor, [[maybe_unused]] std::int64_t first) {
            if constexpr (has_lines) {
                return Cell::of(tensor, first);
            } else {
                return Nothing{};
            }
        }
    };

    /// Whether gradients are scaled and clipped before the rule's own factor is applied.
    ADAMCORE_FN static bool prepares(const Arguments& a) {
        return !is_dense && (a.by_units || a.limit < Treatment::no_limit);
    }
    ADAMCORE_FN static bool rounds_weights_at_random(const Tensor& tensor) {
        return sizeof(T) == 4 && writes_param && !is_dense && is_half(tensor.dtype) &&
               tensor.weights == WeightPolicy::stochastic;
    }
    ADAMCORE_FN static bool rounds_state_at_random(const Tensor& tensor) {
        return writes_halves && tensor.rounds_state_at_random();
    }
    ADAMCORE_FN static bool draws(const Tensor& tensor) {
        return rounds_weights_at_random(tensor) || rounds_state_at_random(tensor);
    }
    /// A thread's share of what is drawn for the tile [first, first + count) of a tensor.
    ADAMCORE_FN static void draw([[maybe_unused]] const Arguments& a, [[maybe_unused]] const Tensor& tensor,
                                 [[maybe_unused]] std::int64_t first, [[maybe_unused]] std::int64_t count,
                                 [[maybe_unused]] int thread, [[maybe_unused]] Drawn& drawn) {
        const rounding::Stream stream{a.seed, static_cast<std::uint64_t>(count_of(a, tensor.group)), tensor.number};
        if constexpr (writes_param && sizeof(T) == 4 && !is_dense) {
            if (rounds_weights_at_random(tensor)) drawn.random.draw(stream, first, count, thread);
        }
        if constexpr (writes_halves) {
            if (rounds_state_at_random(tensor)) drawn.keys.draw(stream, first, count, thread);
        }
    }

    /// Whether all arrays are dense and have dtypes of which a whole group of elements can be Raw.
    ADAMCORE_FN static bool is_plain(const Tensor& tensor) {
        return is_dense || (!tensor.layout && is_usual<T>(tensor.grad_dtype) && is_usual<T>(tensor.dtype) &&
                            is_usual<T>(tensor.state_dtype));
    }

    /// Calls `f(k, step, g, p, operands...)` for each element of a spot, after all arrays have been requested. Spots of
    /// several elements need a tensor that is_plain().
    template <class Spot, class F>
    ADAMCORE_FN static void visit(const Task& task, const Spot& spot, F&& f) {
        const Tensor& tensor = task.tensor;
        const bool keeps = sizeof(T) == 4 && !is_dense && reads_param && Kept<Spot::size>::any_of(tensor);
        // The addresses of the arrays are read before the elements of the first one: elements are far away, addresses
        // are near.
        Places places = Places::of(tensor);
        Group<Spot::size> group;
        if constexpr (reads_grad) {
            if constexpr (Spot::size > 1) {
                spot.load(group.grad, task.grad, is_dense ? dtype_of<T> : tensor.grad_dtype);
            } else {
                const Axes axes = tensor.layout ? tensor.layout->grad : Axes{};
                read_each(task.grad, tensor.grad_dtype, axes, spot.element(0), 1, group.far_grad);
            }
        }
        if constexpr (reads_param) load_param(tensor, places.param, spot, group);
        (load_slot<I>(tensor, places, spot, group), ...);
        if constexpr (sizeof(T) == 4) group.kept.raw.clear();
        if (keeps) load_kept(tensor, places, spot, group);
        forget();

        compute<Spot::size>(task, spot, group, f);

        places = Places::of(tensor);
        (store_slot<I>(tensor, places, spot, group), ...);
        if constexpr (writes_param) {
            if (keeps) group.kept.store_to(places.extra, tensor.weights, spot.element(0));
            store_param(tensor, places.param, spot, group);
        }
    }

private:
    static constexpr std::size_t slots = sizeof...(I);

    /// The arrays of a tensor.
    struct Places {
        void* param;
        void* state[slots + 1];
        void* extra[2];

        ADAMCORE_FN static Places of(const Tensor& tensor) {
            return {tensor.param,
                    {tensor.state[Operand<Rule, I>::place]...},
                    {tensor.extra[0], tensor.extra[1]}};
        }
    };

    /// N elements of all arrays of a tensor.
    template <int N>
    struct Group {
        Raw<T, N> grad, param, state[slots + 1];
        T far_grad[1];  ///< of one element of an array that may be of any dtype
        Kept<N> kept;
    };

    ADAMCORE_FN static Dtype param_dtype(const Tensor& tensor) { return is_dense ? dtype_of<T> : tensor.dtype; }
    template <std::size_t K>
    ADAMCORE_FN static Dtype slot_type(const Tensor& tensor) {
        return is_dense || Operand<Rule, K>::is_full ? dtype_of<T> : tensor.state_dtype;
    }

    /// Where element `at` of an array with a layout is. Only single elements may be anywhere.
    ADAMCORE_FN static void* far_param(const Tensor& tensor, void* array, std::int64_t at) {
        return static_cast<char*>(array) +
               offset_of(tensor.layout->param, static_cast<std::int64_t>(size_of(tensor.dtype)), at);
    }
    template <class Spot>
    ADAMCORE_FN static void load_param(const Tensor& tensor, void* array, const Spot& spot, Group<Spot::size>& group) {
        if constexpr (Spot::size == 1) {
            if (tensor.layout)
                return Neighbours<1>{0}.load(group.param, far_param(tensor, array, spot.element(0)), tensor.dtype);
        }
        spot.load(group.param, array, param_dtype(tensor));
    }
    template <class Spot>
    ADAMCORE_FN static void store_param(const Tensor& tensor, void* array, const Spot& spot,
                                        const Group<Spot::size>& group) {
        if constexpr (Spot::size == 1) {
            if (tensor.layout)
                return Neighbours<1>{0}.store(group.param, far_param(tensor, array, spot.element(0)), tensor.dtype);
        }
        spot.store(group.param, array, param_dtype(tensor));
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void load_slot(const Tensor& tensor, const Places& places, const Spot& spot,
                                      Group<Spot::size>& group) {
        if constexpr (is_read<K>) spot.load(group.state[K], places.state[K], slot_type<K>(tensor));
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void store_slot(const Tensor& tensor, const Places& places, const Spot& spot,
                                       const Group<Spot::size>& group) {
        if constexpr (is_written<K>) spot.store(group.state[K], places.state[K], slot_type<K>(tensor));
    }
    template <class Spot>
    ADAMCORE_FN static void load_kept(const Tensor& tensor, const Places& places, const Spot& spot,
                                      Group<Spot::size>& group) {
        if constexpr (std::is_same_v<Spot, Neighbours<Spot::size>>) {
            group.kept.load_from(places.extra, tensor.weights, spot.begin);
        } else {
            group.kept.load_at(places.extra, tensor.weights, spot);
        }
    }

    /// Turns what has been loaded into what will be stored.
    template <int N, class Spot, class F>
    ADAMCORE_FN static void compute(const Task& task, const Spot& spot, Group<N>& group, F& f) {
        const Tensor& tensor = task.tensor;
        T grad[N] = {}, param[N] = {}, state[slots + 1][N] = {};
        if constexpr (reads_grad) {
            if constexpr (N > 1) {
                group.grad.decode(is_dense ? dtype_of<T> : tensor.grad_dtype, grad);
            } else {
                grad[0] = group.far_grad[0];
            }
        }
        if constexpr (reads_param) group.param.decode(param_dtype(tensor), param);
        (decode_slot<I>(tensor, group, state[I]), ...);
        if constexpr (has_lines) look_up(task, spot, state);
        if (reads_grad && prepares(task.a)) prepare(task, spot, grad);
        if constexpr (reads_param)
            with_kept_weights<N>(tensor, [&](const auto& weights) { weights.recover(group.kept, param); });
        apply(task, grad, param, state, f);
        (encode_slot<I>(task, spot, state[I], group.state[I]), ...);
        if constexpr (writes_param) {
            const bool is_kept = with_kept_weights<N>(tensor, [&](const auto& weights) {
                std::uint32_t random[(N + 1) / 2] = {};
                const std::int64_t place = spot.element(0) - task.first;
                if (weights.way == WeightPolicy::stochastic) words_of(task, place, random);
                weights.keep(param, random, static_cast<int>(place % 2), group.param, group.kept);
            });
            if (!is_kept) group.param.encode(param, param_dtype(tensor));
        }
    }

    template <std::size_t K, int N>
    ADAMCORE_FN static void decode_slot(const Tensor& tensor, const Group<N>& group, T (&to)[N]) {
        if constexpr (is_read<K>) group.state[K].decode(slot_type<K>(tensor), to);
    }

    /// The elements of arrays of rows and of columns that belong to those of a spot.
    template <class Spot>
    ADAMCORE_FN static void look_up(const Task& task, const Spot& spot, T (&state)[slots + 1][Spot::size]) {
        const std::int64_t begin = spot.element(0);
        Cell cell = begin >= task.first ? task.cell.after(task.tensor, begin - task.first) : Cell::of(task.tensor, begin);
        ADAMCORE_UNROLL
        for (int k = 0; k < Spot::size; ++k) {
            (look_up<I>(task.tensor, cell, state[I][k]), ...);
            spot.step(cell, task.tensor);
        }
    }
    template <std::size_t K>
    ADAMCORE_FN static void look_up(const Tensor& tensor, const Cell& cell, T& to) {
        if constexpr (!Operand<Rule, K>::is_of_elements && (Access::reads & Operand<Rule, K>::bit) != 0) {
            const T* const from = global(static_cast<const T*>(tensor.state[Operand<Rule, K>::place]));
            to = from[Operand<Rule, K>::is_of_rows ? cell.row : cell.begin + cell.column];
        }
    }

    template <std::size_t K, class Spot>
    ADAMCORE_FN static void encode_slot(const Task& task, const Spot& spot, const T (&from)[Spot::size],
                                        Raw<T, Spot::size>& to) {
        if constexpr (is_written<K>) {
            const Tensor& tensor = task.tensor;
            if constexpr (writes_halves && !Operand<Rule, K>::is_full) {
                if (is_half(tensor.state_dtype)) return encode_half<K>(task, spot, from, to);
            }
            to.encode(from, slot_type<K>(tensor));
        }
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void encode_half(const Task& task, const Spot& spot, const T (&from)[Spot::size],
                                        Raw<T, Spot::size>& to) {
        constexpr std::size_t slot = Operand<Rule, K>::place;
        constexpr bool is_square = Operand<Rule, K>::is_square;
        const Tensor& tensor = task.tensor;
        const bool at_random = tensor.rounds_state_at_random();
        if constexpr (Access::draws_ahead) {
            const std::int64_t begin = spot.element(0);
            const std::uint32_t first = at_random ? task.drawn->keys.number_of(begin, begin - task.first, slot) : 0;
            const auto random = [first](int k) { return first + static_cast<std::uint32_t>(k) * state::golden; };
            encode_state<is_square>(from, tensor, at_random, random, to);
        } else {
            const auto random = [&](int k) { return at_random ? drawn_number(task, spot.element(k), slot) : 0; };
            encode_state<is_square>(from, tensor, at_random, random, to);
        }
    }
    /// The number of an element of a slot whose neighbours are elsewhere.
    ADAMCORE_AWAY static std::uint32_t drawn_number(const Task& task, std::int64_t element, std::size_t slot) {
        const rounding::Stream stream{task.a.seed, static_cast<std::uint64_t>(task.count), task.tensor.number};
        std::uint32_t keys[state::quartet_size];
        state::keys_of(stream, element, slot / state::quartet_size, keys);
        return state::number_of(keys[slot % state::quartet_size], element);
    }

    template <int Words>
    ADAMCORE_FN static void words_of(const Task& task, std::int64_t place, std::uint32_t (&random)[Words]) {
        const std::uint32_t* const words = task.drawn->random.word_of(place);
        ADAMCORE_UNROLL
        for (int k = 0; k < Words; ++k) random[k] = words[k];
    }

    template <int N, class F>
    ADAMCORE_FN static void apply(const Task& task, const T (&grad)[N], T (&param)[N], T (&state)[slots + 1][N],
                                  F& f) {
        const Step& step = task.step;
        const auto with = [&](auto has_l2) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k)
                f(k, step, gradient::seen<has_l2.value>(step, grad[k], task.scale, param[k]), param[k], state[I][k]...);
        };
        if constexpr (may_have_l2) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }

    /// Scales gradients, unit by unit if there are unit factors, and clips them to their limit.
    template <class Spot>
    ADAMCORE_FN static void prepare(const Task& task, const Spot& spot, T (&grad)[Spot::size]) {
        const Arguments& a = task.a;
        const T limit = gradient::limit_in<T>(a.limit);
        const Scale scale = scale_of(a, task.place);
        std::int64_t unit = a.by_units ? spot.element(0) / task.tensor.unit_size : 0, seen = unit;
        Multiplier<T> by = scale::multiplier<T>(a.by_units ? scale * task.tensor.unit_factors[unit] : scale);
        ADAMCORE_UNROLL
        for (int k = 0; k < Spot::size; ++k) {
            if (a.by_units && (unit = unit_of(task.tensor, spot, k, unit)) != seen) {
                by = scale::multiplier<T>(scale * task.tensor.unit_factors[unit]);
                seen = unit;
            }
            grad[k] = gradient::held(by(grad[k]), limit);
        }
    }
    template <class Spot>
    ADAMCORE_FN static std::int64_t unit_of(const Tensor& tensor, const Spot& spot, int k, std::int64_t unit) {
        const std::int64_t at = spot.element(k);
        return at < (unit + 1) * tensor.unit_size && at >= unit * tensor.unit_size ? unit : at / tensor.unit_size;
    }

    /// Calls `f` with the KeptWeights of a half-precision parameter that is rounded at random or has extra arrays.
    /// Returns false for other parameters.
    template <int N, class F>
    ADAMCORE_FN static bool with_kept_weights([[maybe_unused]] const Tensor& tensor, [[maybe_unused]] F&& f) {
        if constexpr (sizeof(T) == 4 && !is_dense) {
            if (tensor.weights == WeightPolicy::plain || !is_half(tensor.dtype)) return false;
            if (tensor.dtype == Dtype::bfloat16) {
                f(KeptWeights<bfloat16, N>{tensor.weights});
            } else {
                f(KeptWeights<float16, N>{tensor.weights});
            }
            return true;
        }
        return false;
    }
};

}  // namespace adamcore::cuda

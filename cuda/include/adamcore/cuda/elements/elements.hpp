#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cuda/elements/arrays.hpp"
#include "adamcore/cuda/state.hpp"
#include "adamcore/cuda/update.hpp"

namespace adamcore::cuda {

/// Decodes elements of any types and layouts with everything that precision and clipping need, lets a function compute,
/// and encodes the results.
template <class Rule, class T, class Access, class = std::make_index_sequence<operand_count<Rule>>>
struct Elements;

template <class Rule, class T, class Access, std::size_t... I>
struct Elements<Rule, T, Access, std::index_sequence<I...>> {
    using Arguments = typename Access::Arguments;
    using Step = typename Rule::template Step<T>;
    using Of = Arrays<Rule, T, Access>;

    /// The number of neighbouring elements that a thread processes at a time: one vector of T.
    static constexpr int width = widest / sizeof(T);
    static constexpr bool is_dense = Access::is_dense, writes_param = Of::writes_param;
    static constexpr bool writes_halves = Of::writes_halves;

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
        std::conditional_t<Of::has_lines, Cell, Nothing> cell;  ///< of `first`
        std::int64_t count;                                     ///< the number of the step
        const Drawn* drawn;                                     ///< what the block has drawn, or null

        ADAMCORE_FN static Task of(const Arguments& a, std::int32_t place, std::int64_t first, const Drawn* drawn) {
            const Tensor& tensor = a.tensors[place];
            const auto known = Known<Step>::of(a, tensor.group);
            const Scale scale = prepares(a) ? Scale(known.grad_scale) : known.grad_scale * scale_of(a, place);
            return {a,           place,
                    tensor,      a.grads[place],
                    known.step,  scale::multiplier<T>(scale),
                    first,       cell_of(tensor, first),
                    known.count, drawn};
        }
        ADAMCORE_FN static auto cell_of([[maybe_unused]] const Tensor& tensor, [[maybe_unused]] std::int64_t first) {
            if constexpr (Of::has_lines) {
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

    ADAMCORE_FN static bool is_plain(const Tensor& tensor) { return Of::is_plain(tensor); }

    /// Calls `f(k, step, g, p, operands...)` for each element of a spot, after all arrays have been requested. Spots of
    /// several elements need a tensor that is_plain().
    template <class Spot, class F>
    ADAMCORE_FN static void visit(const Task& task, const Spot& spot, F&& f) {
        Group<Spot::size> group;
        Of::load(task.tensor, task.grad, spot, group);
        forget();
        compute<Spot::size>(task, spot, group, f);
        Of::store(task.tensor, spot, group);
    }

private:
    static constexpr std::size_t slots = sizeof...(I);

    template <int N>
    using Group = typename Of::template Group<N>;

    /// Turns what has been loaded into what will be stored.
    template <int N, class Spot, class F>
    ADAMCORE_FN static void compute(const Task& task, const Spot& spot, Group<N>& group, F& f) {
        const Tensor& tensor = task.tensor;
        T grad[N] = {}, param[N] = {}, state[slots + 1][N] = {};
        if constexpr (Of::reads_grad) {
            if constexpr (Of::template is_near<N>) {
                group.grad.decode(Of::grad_dtype(tensor), grad);
            } else {
                grad[0] = group.far_grad[0];
            }
        }
        if constexpr (Of::reads_param) group.param.decode(Of::param_dtype(tensor), param);
        (decode_slot<I>(tensor, group, state[I]), ...);
        if constexpr (Of::has_lines) look_up(task, spot, state);
        if (Of::reads_grad && prepares(task.a)) prepare(task, spot, grad);
        if constexpr (Of::reads_param)
            with_kept_weights<N>(tensor, [&](const auto& weights) { weights.recover(group.kept, param); });
        apply(task, grad, param, state, f);
        (encode_slot<I>(task, spot, state[I], group.state[I]), ...);
        if constexpr (writes_param) {
            if constexpr (sizeof(T) == 4 && !is_dense) store_computed(task, spot, param);
            const bool is_kept = with_kept_weights<N>(tensor, [&](const auto& weights) {
                std::uint32_t random[(N + 1) / 2] = {};
                const std::int64_t place = spot.element(0) - task.first;
                if (weights.way == WeightPolicy::stochastic) words_of(task, place, random);
                weights.keep(param, random, static_cast<int>(place % 2), group.param, group.kept);
            });
            if (!is_kept) group.param.encode(param, Of::param_dtype(tensor));
        }
    }

    /// Stores weights for statistics, if there are any.
    template <class Spot>
    ADAMCORE_FN static void store_computed(const Task& task, const Spot& spot, const float (&param)[Spot::size]) {
        if (!task.a.computed) return;
        float* const to = task.a.computed[task.place];
        if (!to) return;
        ADAMCORE_UNROLL
        for (int k = 0; k < Spot::size; ++k) global(to)[spot.element(k)] = param[k];
    }

    template <std::size_t K, int N>
    ADAMCORE_FN static void decode_slot(const Tensor& tensor, const Group<N>& group, T (&to)[N]) {
        if constexpr (Of::template is_read<K>) group.state[K].decode(Of::template slot_type<K>(tensor), to);
    }

    /// The elements of arrays of rows and of columns that belong to those of a spot.
    template <class Spot>
    ADAMCORE_FN static void look_up(const Task& task, const Spot& spot, T (&state)[slots + 1][Spot::size]) {
        const std::int64_t begin = spot.element(0);
        Cell cell =
            begin >= task.first ? task.cell.after(task.tensor, begin - task.first) : Cell::of(task.tensor, begin);
        ADAMCORE_UNROLL
        for (int k = 0; k < Spot::size; ++k) {
            Of::look_up(task.tensor, cell, k, state);
            spot.step(cell, task.tensor);
        }
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void encode_slot(const Task& task, const Spot& spot, const T (&from)[Spot::size],
                                        Raw<T, Spot::size>& to) {
        if constexpr (Of::template is_written<K>) {
            const Tensor& tensor = task.tensor;
            if constexpr (writes_halves && !Operand<Rule, K>::is_full) {
                if (is_half(tensor.state_dtype)) return encode_half<K>(task, spot, from, to);
            }
            to.encode(from, Of::template slot_type<K>(tensor));
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
    ADAMCORE_FN static void apply(const Task& task, const T (&grad)[N], T (&param)[N], T (&state)[slots + 1][N], F& f) {
        const Step& step = task.step;
        const auto with = [&](auto has_l2) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k)
                f(k, step, gradient::seen<has_l2.value>(step, grad[k], task.scale, param[k]), param[k], state[I][k]...);
        };
        if constexpr (Of::may_have_l2) {
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
        if constexpr (std::is_same_v<Spot, Neighbours<Spot::size>>) return unit + (at == (unit + 1) * tensor.unit_size);
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

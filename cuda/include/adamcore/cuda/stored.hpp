#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cuda/state.hpp"
#include "adamcore/cuda/update.hpp"
#include "adamcore/cuda/weights.hpp"

namespace adamcore::cuda {

/// Updates arrays of any types and layouts, with everything that precision and element-wise clipping need.
template <class Rule, class T, class = rule::ElementArrays<Rule>>
struct StoredUpdate;

template <class Rule, class T, std::size_t... I>
struct StoredUpdate<Rule, T, std::index_sequence<I...>> {
    using Arguments = UpdateArguments;
    using Step = typename Rule::template Step<T>;

    /// The number of neighbouring elements that a thread updates at a time: one vector of T.
    static constexpr int width = widest / sizeof(T);
    static constexpr int resident = sizeof(T) == 4 ? 3 : 2;

    struct NoWords {};
    struct Shared {
        std::conditional_t<sizeof(T) == 4, RandomWords, NoWords> random;
        std::conditional_t<sizeof(T) == 4, StateKeys, NoWords> keys;
    };

    /// Random words are computed one phase before they are used.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        return draws(a.tensors[a.tiles[at.block].tensor]) ? 2 : 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (a.control && a.control->skip) return;
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        if (!a.grads[here.tensor]) return;
        if constexpr (sizeof(T) == 4) {
            if (phase == 0 && draws(tensor)) return draw(a, here, at.thread, shared);
        }
        const bool plain = is_plain(tensor);
        const Part part = part_of(tensor, here, plain);
        const std::int64_t whole = plain ? part.count / chunk_of(tensor) * chunk_of(tensor) : 0;
        update_groups(a, here.tensor, part.first, whole, at.thread, shared);
        if (whole < part.count || part.head > 0) update_others(a, here, whole, at.thread, shared);
    }

private:
    static constexpr std::size_t slots = sizeof...(I);

    struct Task {
        const Arguments& a;
        std::int32_t place;
        const Tensor& tensor;
        const void* grad;
        Step step;
        Multiplier<T> scale;  ///< of gradients; applied after prepare(), if that is called
        std::int64_t first;   ///< where the tile begins
        const Shared& shared;

        ADAMCORE_FN static Task of(const Arguments& a, std::int32_t place, std::int64_t first, const Shared& shared) {
            const Tensor& tensor = a.tensors[place];
            const auto known = Known<Step>::of(a, tensor.group);
            const Scale scale = prepares(a) ? Scale(known.grad_scale) : known.grad_scale * scale_of(a, place);
            return {a, place, tensor, a.grads[place], known.step, scale::multiplier<T>(scale), first, shared};
        }
    };

    /// Whether gradients are scaled and clipped before the rule's own factor is applied.
    ADAMCORE_FN static bool prepares(const Arguments& a) { return a.by_units || a.limit < Treatment::no_limit; }

    ADAMCORE_FN static bool rounds_at_random(const Tensor& tensor) {
        return sizeof(T) == 4 && is_half(tensor.dtype) && tensor.weights == WeightPolicy::stochastic;
    }

    ADAMCORE_FN static bool draws(const Tensor& tensor) {
        return sizeof(T) == 4 && (rounds_at_random(tensor) || tensor.rounds_state_at_random());
    }

    /// Whether all arrays are dense and have dtypes of which a whole group of elements can be Raw.
    ADAMCORE_FN static bool is_plain(const Tensor& tensor) {
        return !tensor.layout && is_usual<T>(tensor.grad_dtype) && is_usual<T>(tensor.dtype) &&
               is_usual<T>(tensor.state_dtype);
    }

    ADAMCORE_FN static Part part_of(const Tensor& tensor, const Tile& here, bool plain) {
        const bool free_start = plain && !counts_from_start(tensor);
        const auto item = static_cast<std::int64_t>(size_of(tensor.dtype));
        return Part::of(tensor, here.index, free_start ? elements_before_whole<width>(tensor.param, item) : 0);
    }

    ADAMCORE_FN static void draw(const Arguments& a, const Tile& here, int thread, Shared& shared) {
        const Tensor& tensor = a.tensors[here.tensor];
        const Constants& constants = a.constants ? a.constants[tensor.group] : a.hosted[tensor.group];
        const rounding::Stream stream{a.seed, static_cast<std::uint64_t>(constants.count), tensor.number};
        const Part part = part_of(tensor, here, false);
        if (rounds_at_random(tensor)) shared.random.draw(stream, part.first, part.count, thread);
        if (tensor.rounds_state_at_random()) shared.keys.draw(stream, part.first, part.count, thread);
    }

    /// The number of neighbouring elements for one thread: those whose ties share a byte.
    ADAMCORE_FN static int chunk_of(const Tensor& tensor) {
        return tensor.weights == WeightPolicy::remainder && width < 8 ? 8 : width;
    }

    ADAMCORE_FN static void update_groups(const Arguments& a, std::int32_t place, std::int64_t first,
                                          std::int64_t count, int thread, const Shared& shared) {
        const int chunk = chunk_of(a.tensors[place]);
        std::int64_t at = std::int64_t{thread} * chunk;
        if (at >= count) return;
        const Task task = Task::of(a, place, first, shared);
        ADAMCORE_ROLLED
        while (at < count) {
            update<width>(task, first + at);
            at += width;
            if (at % chunk == 0) at += (threads - 1) * chunk;
        }
    }

    /// Updates elements that are not in a whole group, one by one: the rest of a tile, the elements before a tensor's
    /// first group, and all elements of arrays that are not plain. Neighbouring threads take neighbouring elements,
    /// unless those share a byte. It is a separate function, to keep it out of the way of the usual case.
    ADAMCORE_AWAY static void update_others(const Arguments& a, const Tile& here, std::int64_t from, int thread,
                                            const Shared& shared) {
        const Tensor& tensor = a.tensors[here.tensor];
        const Part part = part_of(tensor, here, is_plain(tensor));
        const Task task = Task::of(a, here.tensor, part.first, shared);
        const std::int64_t rest = part.count - from, run = tensor.weights == WeightPolicy::remainder ? 8 : 1;
        std::int64_t i = thread * run;
        ADAMCORE_ROLLED
        while (i < rest + part.head) {
            update<1>(task, i < rest ? part.first + from + i : i - rest);
            ++i;
            if (i % run == 0) i += (threads - 1) * run;
        }
    }

    /// The arrays of a tensor.
    struct Places {
        void* param;
        void* state[slots + 1];
        void* extra[2];

        ADAMCORE_FN static Places of(const Tensor& tensor) {
            return {tensor.param, {tensor.state[I]...}, {tensor.extra[0], tensor.extra[1]}};
        }
    };

    /// The position of N elements of a parameter. Single elements may be anywhere.
    template <int N>
    struct Param {
        void* data;
        std::int64_t begin;

        ADAMCORE_FN Param(const Tensor& tensor, void* array, std::int64_t at) : data(array), begin(at) {
            if (N > 1 || !tensor.layout) return;
            data = static_cast<char*>(array) +
                   offset_of(tensor.layout->param, static_cast<std::int64_t>(size_of(tensor.dtype)), at);
            begin = 0;
        }
    };

    /// N elements of all arrays of a tensor.
    template <int N>
    struct Group {
        Raw<T, N> grad, param, state[slots + 1];
        T far_grad[1];  ///< of one element of an array that may be of any dtype
        Kept<N> kept;
    };

    /// Loads elements [begin, begin + N). All arrays are requested before any element is used.
    template <int N>
    ADAMCORE_FN static void update(const Task& task, std::int64_t begin) {
        const Tensor& tensor = task.tensor;
        const bool keeps = sizeof(T) == 4 && Kept<N>::any_of(tensor);
        // The addresses of the arrays are read before the elements of the first one: elements are far away, addresses
        // are near.
        Places places = Places::of(tensor);
        Group<N> group;
        if constexpr (N > 1) {
            group.grad.load_from(task.grad, tensor.grad_dtype, begin);
        } else {
            const Axes axes = tensor.layout ? tensor.layout->grad : Axes{};
            read_each(task.grad, tensor.grad_dtype, axes, begin, 1, group.far_grad);
        }
        const Param<N> param(tensor, places.param, begin);
        group.param.load_from(param.data, tensor.dtype, param.begin);
        (group.state[I].load_from(places.state[I], tensor.state_dtype, begin), ...);
        group.kept.raw.clear();
        if (keeps) group.kept.load_from(places.extra, tensor.weights, begin);
        forget();

        compute(task, begin, group);

        places = Places::of(tensor);
        (group.state[I].store_to(places.state[I], tensor.state_dtype, begin), ...);
        if (keeps) group.kept.store_to(places.extra, tensor.weights, begin);
        const Param<N> result(tensor, places.param, begin);
        group.param.store_to(result.data, tensor.dtype, result.begin);
    }

    /// Turns what has been loaded into what will be stored.
    template <int N>
    ADAMCORE_FN static void compute(const Task& task, std::int64_t begin, Group<N>& group) {
        const Tensor& tensor = task.tensor;
        T grad[N], param[N], state[slots + 1][N];
        if constexpr (N > 1) {
            group.grad.decode(tensor.grad_dtype, grad);
        } else {
            grad[0] = group.far_grad[0];
        }
        group.param.decode(tensor.dtype, param);
        (group.state[I].decode(tensor.state_dtype, state[I]), ...);
        if (prepares(task.a)) prepare(task, begin, grad);
        with_kept_weights<N>(tensor, [&](const auto& weights) { weights.recover(group.kept, param); });
        apply(task.step, task.scale, grad, param, state);
        (encode_slot<I>(task, begin, state[I], group.state[I]), ...);
        const bool is_kept = with_kept_weights<N>(tensor, [&](const auto& weights) {
            std::uint32_t random[(N + 1) / 2] = {};
            const std::int64_t place = begin - task.first;
            if (weights.way == WeightPolicy::stochastic) words_of(task, place, random);
            weights.keep(param, random, static_cast<int>(place % 2), group.param, group.kept);
        });
        if (!is_kept) group.param.encode(param, tensor.dtype);
    }

    template <std::size_t Slot, int N>
    ADAMCORE_FN static void encode_slot(const Task& task, std::int64_t begin, const T (&from)[N], Raw<T, N>& to) {
        const Tensor& tensor = task.tensor;
        if constexpr (sizeof(T) == 4) {
            if (is_half(tensor.state_dtype)) {
                constexpr bool is_square = (rule::nonnegative_slots<Rule>() >> Slot & 1) != 0;
                const bool at_random = tensor.rounds_state_at_random();
                const std::uint32_t random =
                    at_random ? task.shared.keys.number_of(begin, begin - task.first, Slot) : 0;
                return encode_state<is_square>(from, tensor, at_random, random, to);
            }
        }
        to.encode(from, tensor.state_dtype);
    }

    template <int Words>
    ADAMCORE_FN static void words_of(const Task& task, std::int64_t place, std::uint32_t (&random)[Words]) {
        const std::uint32_t* const words = task.shared.random.word_of(place);
        ADAMCORE_UNROLL
        for (int k = 0; k < Words; ++k) random[k] = words[k];
    }

    template <int N>
    ADAMCORE_FN static void apply(const Step& step, Multiplier<T> scale, const T (&grad)[N], T (&param)[N],
                                  T (&state)[slots + 1][N]) {
        const auto with = [&](auto has_l2) {
            ADAMCORE_UNROLL
            for (int k = 0; k < N; ++k)
                Rule::template update<T>(step, gradient::seen<has_l2.value>(step, grad[k], scale, param[k]), param[k],
                                         state[I][k]...);
        };
        if constexpr (rule::has_l2<Step>::value) {
            if (step.l2 != 0) return with(std::true_type{});
        }
        with(std::false_type{});
    }

    /// Scales gradients, unit by unit if there are unit factors, and clips them to their limit.
    template <int N>
    ADAMCORE_FN static void prepare(const Task& task, std::int64_t begin, T (&grad)[N]) {
        const Arguments& a = task.a;
        const T limit = gradient::limit_in<T>(a.limit);
        const Scale scale = scale_of(a, task.place);
        const Scale* factor = a.by_units ? task.tensor.unit_factors + begin / task.tensor.unit_size : nullptr;
        std::int64_t left = a.by_units ? task.tensor.unit_size - begin % task.tensor.unit_size : N;
        Multiplier<T> by = scale::multiplier<T>(factor ? scale * *factor : scale);
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            if (left == 0) {
                by = scale::multiplier<T>(scale * *++factor);
                left = task.tensor.unit_size;
            }
            --left;
            grad[k] = gradient::held(by(grad[k]), limit);
        }
    }

    /// Calls `f` with the KeptWeights of a half-precision parameter that is rounded at random or has extra arrays.
    /// Returns false for other parameters.
    template <int N, class F>
    ADAMCORE_FN static bool with_kept_weights([[maybe_unused]] const Tensor& tensor, [[maybe_unused]] F&& f) {
        if constexpr (sizeof(T) == 4) {
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

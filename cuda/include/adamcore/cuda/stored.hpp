#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/elements/elements.hpp"

namespace adamcore::cuda {

/// Updates arrays of any types and layouts, with everything that precision and element-wise clipping need.
template <class Rule, class T>
struct StoredUpdate {
    using Arguments = UpdateArguments;
    using All = Elements<Rule, T, Access<Arguments, rule::update_reads<Rule>, rule::update_writes<Rule>, false, true>>;

    static constexpr int width = All::width;
    static constexpr int resident = sizeof(T) == 4 ? 3 : 2;

    using Shared = typename All::Drawn;

    /// Random words are computed one phase before they are used.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        return All::draws(a.tensors[a.tiles[at.block].tensor]) ? 2 : 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (a.skips()) return;
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        if (!a.grads[here.tensor]) return;
        if constexpr (sizeof(T) == 4) {
            if (phase == 0 && All::draws(tensor)) {
                const Part part = part_of(tensor, here, false);
                return All::draw(a, tensor, part.first, part.count, at.thread, shared);
            }
        }
        const bool plain = All::is_plain(tensor);
        const Part part = part_of(tensor, here, plain);
        const std::int64_t whole = plain ? part.count & -std::int64_t{chunk_of(tensor)} : 0;
        update_groups(a, here.tensor, part.first, whole, at.thread, shared);
        if (whole < part.count || part.head > 0) update_others(a, here, whole, at.thread, shared);
    }

private:
    using Task = typename All::Task;

    ADAMCORE_FN static Part part_of(const Tensor& tensor, const Tile& here, bool plain) {
        const bool free_start = plain && !counts_from_start(tensor);
        const auto item = static_cast<std::int64_t>(size_of(tensor.dtype));
        return Part::of(tensor, here.index, free_start ? elements_before_whole<width>(tensor.param, item) : 0);
    }

    /// The number of neighbouring elements for one thread: those whose ties share a byte. It is a power of two, because
    /// devices divide by other numbers slowly.
    ADAMCORE_FN static int chunk_of(const Tensor& tensor) {
        return tensor.weights == WeightPolicy::remainder && width < 8 ? 8 : width;
    }

    template <int N>
    ADAMCORE_FN static void update(const Task& task, std::int64_t begin) {
        All::visit(task, Neighbours<N>{begin}, [](int, const auto& step, auto grad, T& param, auto&... state) {
            Rule::template update<T>(step, grad, param, state...);
        });
    }

    ADAMCORE_FN static void update_groups(const Arguments& a, std::int32_t place, std::int64_t first,
                                          std::int64_t count, int thread, const Shared& shared) {
        const int chunk = chunk_of(a.tensors[place]);
        std::int64_t at = std::int64_t{thread} * chunk;
        if (at >= count) return;
        const Task task = Task::of(a, place, first, &shared);
        ADAMCORE_ROLLED
        while (at < count) {
            update<width>(task, first + at);
            at += width;
            if ((at & (chunk - 1)) == 0) at += (threads - 1) * chunk;
        }
    }

    /// Updates elements that are not in a whole group, one by one: the rest of a tile, the elements before a tensor's
    /// first group, and all elements of arrays that are not plain. Neighbouring threads take neighbouring elements,
    /// unless those share a byte. It is a separate function, to keep it out of the way of the usual case.
    ADAMCORE_AWAY static void update_others(const Arguments& a, const Tile& here, std::int64_t from, int thread,
                                            const Shared& shared) {
        const Tensor& tensor = a.tensors[here.tensor];
        const Part part = part_of(tensor, here, All::is_plain(tensor));
        const Task task = Task::of(a, here.tensor, part.first, &shared);
        const std::int64_t rest = part.count - from, run = tensor.weights == WeightPolicy::remainder ? 8 : 1;
        std::int64_t i = thread * run;
        ADAMCORE_ROLLED
        while (i < rest + part.head) {
            update<1>(task, i < rest ? part.first + from + i : i - rest);
            ++i;
            if ((i & (run - 1)) == 0) i += (threads - 1) * run;
        }
    }
};

}  // namespace adamcore::cuda

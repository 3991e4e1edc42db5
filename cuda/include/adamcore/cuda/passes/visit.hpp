#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/elements/elements.hpp"
#include "adamcore/cuda/fold.hpp"

namespace adamcore::cuda {

struct VisitArguments : StepArguments {
    const Tile* tiles;
    const std::int64_t* begins;  ///< by tensor: where its terms begin, those of one sum after those of another
    double* sums;                ///< of leaves
};

/// A pass that sums over tensors. A block visits one leaf of a tensor: in turn, all threads visit neighbouring elements
/// and store their terms in shared memory, and a warp for each sum adds these, each in the lane of its element.
template <class Rule, class T, class Pass, bool IsDense>
struct Visit {
    using Arguments = VisitArguments;
    using All = Elements<Rule, T, Access<Arguments, Pass::reads, Pass::writes, IsDense, true>>;

    static constexpr int width = All::width;
    static constexpr int resident = sizeof(T) == 4 ? 3 : 2;
    static constexpr int sum_count = static_cast<int>(rule::sum_count<Pass>);
    /// The number of elements that are visited between two phases.
    static constexpr int chunk = threads * width;
    static_assert(tile == sums::leaf && tile % chunk == 0 && chunk % sums::lanes == 0);

    struct Shared {
        double terms[sum_count][chunk];
        double lane[sum_count][sums::lanes];
        typename All::Drawn drawn;
    };

    /// The phases: drawing, visiting and adding in turn, halvings, the result.
    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        return (All::draws(tensor) ? 1 : 0) + 2 * rounds_of(count_of(tensor, here)) + halvings + 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        const Tile here = a.tiles[at.block];
        const Tensor& tensor = a.tensors[here.tensor];
        if (a.skips() || !a.grads[here.tensor]) return;
        const std::int64_t first = here.index * tile;
        const int count = count_of(tensor, here);
        if (All::draws(tensor) && phase-- == 0) return All::draw(a, tensor, first, count, at.thread, shared.drawn);
        const int rounds = rounds_of(count);
        const int sum = at.thread / sums::lanes, lane = at.thread % sums::lanes;
        if (phase < 2 * rounds) {
            const int begin = phase / 2 * chunk;
            if (phase % 2 == 0) return visit(a, here.tensor, first, begin, count, at.thread, shared);
            if (sum < sum_count) add(shared, sum, lane, begin, count);
        } else if (phase < 2 * rounds + halvings) {
            if (sum < sum_count) halve(shared.lane[sum], phase - 2 * rounds, lane);
        } else if (at.thread < sum_count) {
            const std::int64_t leaves = sums::leaves_of(tensor.size);
            a.sums[a.begins[here.tensor] + at.thread * leaves + here.index] = shared.lane[at.thread][0];
        }
    }

private:
    using Task = typename All::Task;

    ADAMCORE_FN static int count_of(const Tensor& tensor, const Tile& here) {
        return static_cast<int>(math::min(tile, tensor.size - here.index * tile));
    }
    ADAMCORE_FN static int rounds_of(int count) { return (count + chunk - 1) / chunk; }

    /// Visits a thread's elements of [begin, begin + chunk) in the tile, which begins at `first` and has `count`.
    ADAMCORE_FN static void visit(const Arguments& a, std::int32_t place, std::int64_t first, int begin, int count,
                                  int thread, Shared& shared) {
        const int from = begin + thread * width, last = math::min(from + width, count);
        if (from >= last) return;
        if (from + width > last || !All::is_plain(a.tensors[place]))
            return visit_each(a, place, first, from, last, thread * width, shared);
        visit<width>(Task::of(a, place, first, &shared.drawn), from, thread * width, shared);
    }
    /// (A separate function, to keep it out of the way of the usual case.)
    ADAMCORE_AWAY static void visit_each(const Arguments& a, std::int32_t place, std::int64_t first, int from, int last,
                                         int to, Shared& shared) {
        const Task task = Task::of(a, place, first, &shared.drawn);
        ADAMCORE_ROLLED
        for (int at = from; at < last; ++at) visit<1>(task, at, to + at - from, shared);
    }

    /// Visits N elements of the tile from `at` on, and stores their terms from `to` on.
    template <int N>
    ADAMCORE_FN static void visit(const Task& task, int at, int to, Shared& shared) {
        All::visit(task, Neighbours<N>{task.first + at},
                   [&](int k, const auto& step, auto grad, const T& param, auto&... state) {
                       const auto terms = Pass::visit(step, grad, param, state...);
                       ADAMCORE_UNROLL
                       for (int sum = 0; sum < sum_count; ++sum) shared.terms[sum][to + k] = terms.of[sum];
                   });
    }

    ADAMCORE_FN static void add(Shared& shared, int sum, int lane, int begin, int count) {
        double total = begin == 0 ? 0 : shared.lane[sum][lane];
        const int last = math::min(chunk, count - begin);
        for (int at = lane; at < last; at += sums::lanes) total += shared.terms[sum][at];
        shared.lane[sum][lane] = total;
    }
};

}  // namespace adamcore::cuda

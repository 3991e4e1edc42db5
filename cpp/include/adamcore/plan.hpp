#pragma once

#include <algorithm>
#include <cstdint>

namespace adamcore::plan {

/// A position in a list of tensors: before element `offset` of tensor `tensor`.
struct Cut {
    std::int64_t tensor = 0;
    std::int64_t offset = 0;

    friend bool operator==(Cut a, Cut b) { return a.tensor == b.tensor && a.offset == b.offset; }
};

/// Cuts inside a tensor are at multiples of at least this many elements from its start, which are whole cache lines.
inline constexpr std::int64_t grain = 64;

/// The cost of a tensor beyond its elements (pointers, loop set-up, tail), in elements.
inline constexpr std::int64_t tensor_cost = 64;

/// Divides `count` tensors into `parts` contiguous ranges of nearly equal cost. Part k is [cuts[k], cuts[k + 1]).
///
/// `size(i)` is the number of elements to update in tensor i. A tensor with size 0 costs nothing. `cuts` has room for
/// `parts + 1` positions. Cuts inside tensor i are at multiples of `unit_of(i)` elements. This is a pure function of the
/// sizes; it needs one pass over them and does not allocate.
template <class Size, class UnitOf>
void split_at(Size&& size, std::int64_t count, int parts, Cut* cuts, UnitOf&& unit_of) {
    const auto cost = [&](std::int64_t i) {
        const std::int64_t n = size(i);
        return n == 0 ? std::int64_t{0} : n + tensor_cost;
    };
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += cost(i);

    cuts[0] = {0, 0};
    std::int64_t before = 0, tensor = 0;  // cost of all tensors before `tensor`
    for (int part = 1; part < parts; ++part) {
        // total / parts * part, without overflow for any total.
        const std::int64_t target = total / parts * part + total % parts * part / parts;
        while (tensor < count && before + cost(tensor) <= target) before += cost(tensor++);
        if (tensor == count) {
            cuts[part] = {count, 0};
            continue;
        }
        const std::int64_t unit = unit_of(tensor);
        const std::int64_t whole = (target - before) / unit * unit;
        const std::int64_t last = size(tensor) / unit * unit;
        cuts[part] = {tensor, std::min(whole, last)};
    }
    cuts[parts] = {count, 0};
}

/// The same with cuts at multiples of `unit` elements in all tensors.
template <class Size>
void split(Size&& size, std::int64_t count, int parts, Cut* cuts, std::int64_t unit = grain) {
    split_at(size, count, parts, cuts, [unit](std::int64_t) { return unit; });
}

/// Calls `f(tensor, begin, end)` for each piece between two cuts, in order. Empty pieces are skipped.
template <class Size, class F>
void for_each_piece(Size&& size, Cut from, Cut to, F&& f) {
    for (std::int64_t i = from.tensor; i <= to.tensor; ++i) {
        const std::int64_t begin = i == from.tensor ? from.offset : 0;
        const std::int64_t end = i == to.tensor ? to.offset : size(i);
        if (begin < end) f(i, begin, end);
    }
}

}  // namespace adamcore::plan

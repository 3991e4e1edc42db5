#pragma once

#include <algorithm>
#include <cstdint>

/// Sets of intervals of integers, which may overlap: a treap sorted by their begins, in which each node knows how far
/// its subtree reaches. Only the caller allocates, so that inserting and removing cannot fail.
namespace adamcore::python {

/// An interval [begin, end) with its value and its links in a treap.
template <class Value>
struct Interval {
    Interval(std::uint64_t first, std::uint64_t last, Value of) : begin(first), end(last), value(of) {}

    std::uint64_t begin, end;
    Value value;
    Interval* next = nullptr;   ///< for whoever keeps a list of them
    Interval** root = nullptr;  ///< of the treap that it is in
    Interval* left = nullptr;
    Interval* right = nullptr;
    std::uint64_t reach = 0;     ///< the largest end in its subtree
    std::uint64_t priority = 0;  ///< at least that of all below
};

namespace intervals {

/// Whether `a` comes before `b`. Intervals with the same begin are ordered by address, so that each can be found again.
template <class Value>
bool is_before(const Interval<Value>* a, const Interval<Value>* b) noexcept {
    return a->begin != b->begin ? a->begin < b->begin
                                : reinterpret_cast<std::uintptr_t>(a) < reinterpret_cast<std::uintptr_t>(b);
}

template <class Value>
void update_reach(Interval<Value>* node) noexcept {
    node->reach = node->end;
    if (node->left) node->reach = std::max(node->reach, node->left->reach);
    if (node->right) node->reach = std::max(node->reach, node->right->reach);
}

/// A pseudo-random priority, the same in every run: one step of splitmix64.
inline std::uint64_t scatter(std::uint64_t x) noexcept {
    x = (x + 0x9E3779B97F4A7C15u);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/// Splits `tree` into what comes before `node`, and the rest.
template <class Value>
void split(Interval<Value>* tree, const Interval<Value>* node, Interval<Value>*& before,
           Interval<Value>*& after) noexcept {
    if (!tree) {
        before = after = nullptr;
    } else if (is_before(tree, node)) {
        split(tree->right, node, tree->right, after);
        update_reach(before = tree);
    } else {
        split(tree->left, node, before, tree->left);
        update_reach(after = tree);
    }
}

/// Joins two trees, where all of `a` comes before all of `b`.
template <class Value>
Interval<Value>* join(Interval<Value>* a, Interval<Value>* b) noexcept {
    if (!a || !b) return a ? a : b;
    Interval<Value>* const top = a->priority >= b->priority ? a : b;
    if (top == a) {
        a->right = join(a->right, b);
    } else {
        b->left = join(a, b->left);
    }
    update_reach(top);
    return top;
}

template <class Value>
void put_below(Interval<Value>*& tree, Interval<Value>* node) noexcept {
    if (tree && tree->priority >= node->priority) {
        put_below(is_before(node, tree) ? tree->left : tree->right, node);
        update_reach(tree);
        return;
    }
    split(tree, static_cast<const Interval<Value>*>(node), node->left, node->right);
    update_reach(tree = node);
}

template <class Value>
void take_from(Interval<Value>*& tree, const Interval<Value>* node) noexcept {
    if (tree == node) {
        tree = join(tree->left, tree->right);
        return;
    }
    take_from(is_before(node, static_cast<const Interval<Value>*>(tree)) ? tree->left : tree->right, node);
    update_reach(tree);
}

/// Inserts `node`, which must not be in a treap, into the treap `root`. `number` must differ between calls.
template <class Value>
void insert(Interval<Value>*& root, Interval<Value>* node, std::uint64_t number) noexcept {
    node->priority = scatter(number);
    node->root = &root;
    put_below(root, node);
}

template <class Value>
void remove(Interval<Value>* node) noexcept {
    take_from(*node->root, static_cast<const Interval<Value>*>(node));
}

/// Deletes all nodes of a treap.
template <class Value>
void destroy(Interval<Value>* tree) noexcept {
    if (!tree) return;
    destroy(tree->left);
    destroy(tree->right);
    delete tree;
}

/// Calls `look` for each interval that intersects [begin, end), in order, until it returns true. Returns whether it
/// did. Takes O(log n) for each.
template <class Value, class Look>
bool visit(Interval<Value>* tree, std::uint64_t begin, std::uint64_t end, Look&& look) {
    if (!tree || tree->reach <= begin) return false;
    if (visit(tree->left, begin, end, look)) return true;
    if (tree->begin >= end) return false;
    if (tree->end > begin && look(*tree)) return true;
    return visit(tree->right, begin, end, look);
}

}  // namespace intervals
}  // namespace adamcore::python

#pragma once

#include <cstdint>

/// The fixed tree in which the leaves of many owners are added, so that the bits of the sum do not depend on who owns
/// which leaves.
///
/// Leaves are numbered over all owners, each of which has a range of them. They are added by pairs of neighbours, then
/// these sums by pairs, and so on; the last odd one is passed up, as in sums::sum_pairs. An owner adds what lies whole in
/// its range. What remains are a few partial sums, which are added in the same way in the order of the owners.
///
/// All of this is about which sum is added to which. The numbers are in buffers of the caller, and nothing here allocates.
namespace adamcore::tree {

/// A sum of 2^level neighbouring leaves: those from index * 2^level on, as far as there are any.
struct Node {
    int level = 0;
    std::int64_t index = 0;

    constexpr std::int64_t begin() const { return index << level; }
    /// The first leaf that the node to its right has.
    constexpr std::int64_t end() const { return (index + 1) << level; }
    constexpr bool is_left() const { return index % 2 == 0; }
    constexpr Node parent() const { return {level + 1, index / 2}; }

    friend constexpr bool operator==(Node a, Node b) { return a.level == b.level && a.index == b.index; }
};

/// Where the next leaf or partial sum goes.
struct Place {
    int buffer;
    bool adds;  ///< to what is in the buffer; otherwise it becomes the buffer's contents
};

/// No owner has more partial sums.
inline constexpr int most_buffers = 2 * 63;

/// The partial sums that neighbouring leaves make up, from left to right. Partial sum k is in buffer k.
///
/// It takes leaves in order, and partial sums of other owners in the same way:
///
///     const tree::Place place = sums.next(node);
///     ...                                           // the caller adds the node's numbers to place.buffer, or copies them
///     sums.settle([&](int into, int from) { ... });  // the caller adds buffer `from` to buffer `into`
///
/// Once the number of all leaves is known, finish() passes up what has no right neighbour.
class Sums {
public:
    /// The place of the numbers of `node`, which begins behind all others so far.
    constexpr Place next(Node node) {
        if (count_ > 0 && is_right_of(node, nodes_[count_ - 1])) {
            nodes_[count_ - 1] = node.parent();
            return {count_ - 1, true};
        }
        nodes_[count_] = node;
        return {count_++, false};
    }

    /// Calls `add(into, from)` for each pair of buffers whose sum is complete now.
    template <class Add>
    constexpr void settle(Add&& add) {
        while (count_ > 1 && is_right_of(nodes_[count_ - 1], nodes_[count_ - 2])) {
            add(count_ - 2, count_ - 1);
            nodes_[count_ - 2] = nodes_[count_ - 1].parent();
            --count_;
        }
    }

    /// The same, given the number of all leaves.
    template <class Add>
    constexpr void finish(std::int64_t leaves, Add&& add) {
        settle(add);
        while (count_ > 0 && raise(leaves)) settle(add);
    }

    constexpr int count() const { return count_; }
    constexpr Node operator[](int k) const { return nodes_[k]; }

private:
    static constexpr bool is_right_of(Node right, Node left) {
        return right.level == left.level && right.index == left.index + 1 && left.is_left();
    }

    /// Passes the last sum up if no leaf to its right belongs to its parent, as far as it takes to be a right neighbour,
    /// or the root. Returns whether it has moved.
    constexpr bool raise(std::int64_t leaves) {
        Node& last = nodes_[count_ - 1];
        if (!last.is_left() || last.end() < leaves || last == Node{root_level(leaves), 0}) return false;
        last = last.parent();
        return true;
    }

    static constexpr int root_level(std::int64_t leaves) {
        int level = 0;
        while (std::int64_t{1} << level < leaves) ++level;
        return level;
    }

    Node nodes_[most_buffers];
    int count_ = 0;
};

/// The number of buffers that an owner of leaves [begin, end) needs: floor(log2(k + 1)) for k leaves, and up to twice as
/// many if `begin` is not a multiple of a power of two above k.
constexpr int buffers_for(std::int64_t begin, std::int64_t end) {
    Sums sums;
    int most = 0;
    for (std::int64_t leaf = begin; leaf < end; ++leaf) {
        (void)sums.next({0, leaf});
        most = sums.count() > most ? sums.count() : most;
        sums.settle([](int, int) {});
    }
    return most;
}

}  // namespace adamcore::tree

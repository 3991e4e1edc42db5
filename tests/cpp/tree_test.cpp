#include "adamcore/tree.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "adamcore/sums.hpp"

namespace adamcore::test {
namespace {

using Leaves = std::vector<float>;

/// Numbers over many magnitudes, so that the order of additions shows.
Leaves leaves_of(std::int64_t count) {
    std::mt19937 random(static_cast<unsigned>(count));
    std::uniform_real_distribution<float> magnitude(-4, 4), sign(-1, 1);
    Leaves leaves;
    for (std::int64_t i = 0; i < count; ++i)
        leaves.push_back((sign(random) < 0 ? -1.0f : 1.0f) * std::pow(10.0f, magnitude(random)));
    return leaves;
}

/// The sum of a node, by its definition.
float sum_of(const Leaves& leaves, tree::Node node) {
    if (node.level == 0) return leaves[static_cast<std::size_t>(node.index)];
    const tree::Node left{node.level - 1, 2 * node.index}, right{node.level - 1, 2 * node.index + 1};
    if (right.begin() >= static_cast<std::int64_t>(leaves.size())) return sum_of(leaves, left);
    return sum_of(leaves, left) + sum_of(leaves, right);
}

float sum_of(const Leaves& leaves) {
    int level = 0;
    while (std::size_t{1} << level < leaves.size()) ++level;
    return sum_of(leaves, {level, 0});
}

/// What one owner has: buffers, and the nodes that they are the sums of.
class Owner {
public:
    void take(tree::Node node, float number) {
        const tree::Place place = sums_.next(node);
        const auto buffer = static_cast<std::size_t>(place.buffer);
        if (buffer >= buffers_.size()) buffers_.resize(buffer + 1);
        buffers_[buffer] = place.adds ? buffers_[buffer] + number : number;
        sums_.settle([&](int into, int from) { add(into, from); });
    }
    void finish(std::int64_t leaves) {
        sums_.finish(leaves, [&](int into, int from) { add(into, from); });
    }

    std::size_t buffer_count() const { return buffers_.size(); }
    std::vector<std::pair<tree::Node, float>> parts() const {
        std::vector<std::pair<tree::Node, float>> found;
        for (int k = 0; k < sums_.count(); ++k) found.emplace_back(sums_[k], buffers_[static_cast<std::size_t>(k)]);
        return found;
    }

private:
    void add(int into, int from) {
        buffers_[static_cast<std::size_t>(into)] += buffers_[static_cast<std::size_t>(from)];
    }

    tree::Sums sums_;
    Leaves buffers_;
};

Owner owner_of(const Leaves& leaves, std::int64_t begin, std::int64_t end) {
    Owner owner;
    for (std::int64_t leaf = begin; leaf < end; ++leaf) owner.take({0, leaf}, leaves[static_cast<std::size_t>(leaf)]);
    EXPECT_EQ(owner.buffer_count(), static_cast<std::size_t>(tree::buffers_for(begin, end)));
    return owner;
}

/// The sum of leaves that are divided among owners: cuts[k] is the first leaf of owner k.
float sum_of_owners(const Leaves& leaves, const std::vector<std::int64_t>& cuts) {
    const auto count = static_cast<std::int64_t>(leaves.size());
    Owner whole;
    for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
        Owner owner = owner_of(leaves, cuts[k], cuts[k + 1]);
        if (cuts[k + 1] == count) owner.finish(count);  // it need not know: the last step does the same
        for (const auto& [node, number] : owner.parts()) whole.take(node, number);
    }
    whole.finish(count);
    const auto parts = whole.parts();
    EXPECT_EQ(parts.size(), 1u);
    return parts[0].second;
}

std::uint32_t bits(float x) {
    std::uint32_t found;
    std::memcpy(&found, &x, sizeof found);
    return found;
}

TEST(Tree, OneOwnerAddsAsTheDefinitionAndAsNormsDo) {
    for (std::int64_t count = 1; count <= 130; ++count) {
        const Leaves leaves = leaves_of(count);
        Leaves copy = leaves;
        EXPECT_EQ(bits(sum_of_owners(leaves, {0, count})), bits(sum_of(leaves))) << count;
        EXPECT_EQ(bits(sums::sum_pairs(copy.data(), count)), bits(sum_of(leaves))) << count;
    }
}

TEST(Tree, TwoOwnersWithAnyCut) {
    for (std::int64_t count = 1; count <= 70; ++count) {
        const Leaves leaves = leaves_of(count);
        const float expected = sum_of(leaves);
        for (std::int64_t cut = 0; cut <= count; ++cut)
            EXPECT_EQ(bits(sum_of_owners(leaves, {0, cut, count})), bits(expected)) << count << " cut at " << cut;
    }
}

TEST(Tree, UpToEightOwners) {
    std::mt19937 random(5);
    for (std::int64_t count = 1; count <= 100; ++count) {
        const Leaves leaves = leaves_of(count);
        const float expected = sum_of(leaves);
        for (std::int64_t owners = 1; owners <= 8; ++owners) {
            std::vector<std::int64_t> even, uneven{0};
            for (std::int64_t k = 0; k <= owners; ++k) even.push_back(count * k / owners);
            for (std::int64_t k = 1; k < owners; ++k)
                uneven.push_back(std::uniform_int_distribution<std::int64_t>(uneven.back(), count)(random));
            uneven.push_back(count);
            EXPECT_EQ(bits(sum_of_owners(leaves, even)), bits(expected)) << count << " over " << owners;
            EXPECT_EQ(bits(sum_of_owners(leaves, uneven)), bits(expected)) << count << " over " << owners;
        }
    }
}

/// Whether numbers are added in two steps, within groups of owners and then across them, does not matter either.
TEST(Tree, GroupsOfOwners) {
    const std::int64_t count = 53;
    const Leaves leaves = leaves_of(count);
    Owner whole;
    for (std::int64_t group = 0; group < 3; ++group) {
        Owner of_group;
        for (std::int64_t k = 0; k < 4; ++k) {
            const std::int64_t begin = count * (4 * group + k) / 12, end = count * (4 * group + k + 1) / 12;
            for (const auto& [node, number] : owner_of(leaves, begin, end).parts()) of_group.take(node, number);
        }
        for (const auto& [node, number] : of_group.parts()) whole.take(node, number);
    }
    whole.finish(count);
    EXPECT_EQ(bits(whole.parts()[0].second), bits(sum_of(leaves)));
}

TEST(Tree, NumberOfBuffers) {
    const auto log2_of = [](std::int64_t x) {
        int power = 0;
        while (x >> (power + 1)) ++power;
        return power;
    };
    for (std::int64_t k = 1; k <= 300; ++k) {
        EXPECT_EQ(tree::buffers_for(0, k), log2_of(k + 1)) << k;
        EXPECT_EQ(tree::buffers_for(4096, 4096 + k), log2_of(k + 1)) << k;
        for (std::int64_t begin = 1; begin <= 64; ++begin)
            EXPECT_LE(tree::buffers_for(begin, begin + k), 2 * log2_of(k + 1));
    }
    static_assert(tree::buffers_for(0, 8) == 3);
    static_assert(tree::buffers_for(8, 16) == 3);
    static_assert(tree::buffers_for(3, 3) == 0);
}

TEST(Tree, AnOwnerOfAnAlignedPowerOfTwoHasOneSum) {
    for (const std::int64_t begin : {0, 16, 48})
        EXPECT_EQ(owner_of(leaves_of(64), begin, begin + 16).parts().size(), 1u);
}

TEST(Tree, NumbersOfLeavesUpToTheLargest) {
    constexpr std::int64_t far = std::int64_t{1} << 61;
    tree::Sums sums;
    EXPECT_EQ(sums.next({60, 0}).buffer, 0);
    EXPECT_EQ(sums.next({0, far - 1}).buffer, 1);
    sums.finish(far, [](int, int) { FAIL() << "they are no neighbours"; });
    EXPECT_EQ(sums.count(), 2);
}

}  // namespace
}  // namespace adamcore::test

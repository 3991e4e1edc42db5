#include "adamcore/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "adamcore/cpu/engine.hpp"

namespace adamcore {
namespace {

using Sizes = std::vector<std::int64_t>;

std::vector<plan::Cut> split(const Sizes& sizes, int parts) {
    std::vector<plan::Cut> cuts(static_cast<std::size_t>(parts) + 1, plan::Cut{-1, -1});
    plan::split([&](std::int64_t i) { return sizes.at(static_cast<std::size_t>(i)); },
                static_cast<std::int64_t>(sizes.size()), parts, cuts.data());
    return cuts;
}

struct Piece {
    std::int64_t tensor, begin, end;
};

std::vector<Piece> pieces_between(const Sizes& sizes, plan::Cut from, plan::Cut to) {
    std::vector<Piece> pieces;
    plan::for_each_piece([&](std::int64_t i) { return sizes.at(static_cast<std::size_t>(i)); }, from, to,
                         [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
                             pieces.push_back({i, begin, end});
                         });
    return pieces;
}

/// Walks all parts' pieces in order: each element once, none empty, cuts inside tensors on whole grains.
void expect_cover(const Sizes& sizes, const std::vector<plan::Cut>& cuts) {
    std::size_t tensor = 0;
    std::int64_t done = 0;
    const auto skip_empty = [&] {
        while (tensor < sizes.size() && sizes[tensor] == 0) ++tensor;
    };
    for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
        for (const Piece& piece : pieces_between(sizes, cuts[part], cuts[part + 1])) {
            skip_empty();
            ASSERT_LT(tensor, sizes.size());
            ASSERT_EQ(piece.tensor, static_cast<std::int64_t>(tensor));
            ASSERT_EQ(piece.begin, done);
            ASSERT_LT(piece.begin, piece.end);
            ASSERT_LE(piece.end, sizes[tensor]);
            ASSERT_EQ(piece.begin % plan::grain, 0);
            done = piece.end;
            if (done == sizes[tensor]) {
                ++tensor;
                done = 0;
            }
        }
    }
    skip_empty();
    ASSERT_EQ(tensor, sizes.size());
    ASSERT_EQ(done, 0);
}

std::int64_t total_cost(const Sizes& sizes) {
    std::int64_t total = 0;
    for (const std::int64_t n : sizes) total += n == 0 ? 0 : n + plan::tensor_cost;
    return total;
}

/// No part costs more than its share, but for the rounding of its two cuts; a tensor's own cost is at its end.
void expect_balance(const Sizes& sizes, const std::vector<plan::Cut>& cuts) {
    const auto parts = static_cast<std::int64_t>(cuts.size()) - 1;
    const std::int64_t most = total_cost(sizes) / parts + 1 + plan::grain + plan::tensor_cost;
    for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
        std::int64_t cost = 0;
        for (const Piece& piece : pieces_between(sizes, cuts[part], cuts[part + 1])) {
            const bool whole = piece.end == sizes[static_cast<std::size_t>(piece.tensor)];
            cost += piece.end - piece.begin + (whole ? plan::tensor_cost : 0);
        }
        EXPECT_LE(cost, most) << "part " << part << " of " << parts;
    }
}

void expect_good_split(const Sizes& sizes, int parts) {
    const auto cuts = split(sizes, parts);
    ASSERT_EQ(cuts.front(), (plan::Cut{0, 0}));
    ASSERT_EQ(cuts.back(), (plan::Cut{static_cast<std::int64_t>(sizes.size()), 0}));
    ASSERT_EQ(cuts, split(sizes, parts));
    ASSERT_NO_FATAL_FAILURE(expect_cover(sizes, cuts));
    expect_balance(sizes, cuts);
}

TEST(Split, CoversAwkwardListsOfTensors) {
    const std::int64_t huge = std::int64_t{1} << 33;
    const Sizes lists[] = {
        {},
        {0},
        {0, 0, 0},
        {1},
        {63},
        {64},
        {65},
        {0, 1, 0},
        {1, 1, 1, 1, 1},
        {64, 64, 64},
        {63, 129, 0, 191},
        {huge},
        {huge + 1, 3, huge - 1},
        {1, huge, 0, 100},
        Sizes(1000, 1),
        Sizes(1000, 1000),
    };
    for (const Sizes& sizes : lists) {
        for (int parts = 1; parts <= 17; ++parts) {
            ASSERT_NO_FATAL_FAILURE(expect_good_split(sizes, parts)) << sizes.size() << " tensors, " << parts;
        }
        ASSERT_NO_FATAL_FAILURE(expect_good_split(sizes, cpu::max_parts));
    }
}

TEST(Split, CoversRandomListsOfTensors) {
    std::mt19937_64 random(3);
    for (int trial = 0; trial < 2000; ++trial) {
        Sizes sizes(random() % 40);
        for (auto& n : sizes) n = random() % 5 == 0 ? 0 : static_cast<std::int64_t>(random() >> (30 + random() % 34));
        const int parts = 1 + static_cast<int>(random() % 17);
        ASSERT_NO_FATAL_FAILURE(expect_good_split(sizes, parts)) << "trial " << trial;
    }
}

TEST(Split, GivesEveryPartOfALargeTensorItsShare) {
    const auto cuts = split({1 << 20}, 4);
    for (std::size_t part = 0; part < 4; ++part) {
        const auto pieces = pieces_between({1 << 20}, cuts[part], cuts[part + 1]);
        ASSERT_EQ(pieces.size(), 1u);
        EXPECT_NEAR(static_cast<double>(pieces[0].end - pieces[0].begin), 1 << 18, 2 * plan::grain);
    }
}

TEST(PartsFor, GrowsWithTheWork) {
    for (const int threads : {2, 3, 8, 100000}) {
        int least = 1;
        for (std::int64_t elements = 0; elements < std::int64_t{1} << 40; elements += 1 + elements / 3) {
            const int parts = cpu::parts_for(elements, threads);
            ASSERT_GE(parts, least) << elements << " elements";
            ASSERT_LE(parts, cpu::max_parts);
            least = parts;
        }
        EXPECT_GE(least, std::min(threads, cpu::max_parts));
    }
}

TEST(PartsFor, IsOneForLittleWorkOrOneThread) {
    EXPECT_EQ(cpu::parts_for(0, 8), 1);
    EXPECT_EQ(cpu::parts_for(1000, 8), 1);
    EXPECT_EQ(cpu::parts_for(std::int64_t{1} << 40, 1), 1);
    EXPECT_EQ(cpu::parts_for(std::int64_t{1} << 40, 0), 1);
}

TEST(PlanStep, LeavesOutTensorsWithoutGradient) {
    constexpr std::int64_t size = 1 << 20;
    std::vector<float> values(size);
    std::vector<Tensor> tensors(3, tensor<float>(values.data(), values.data(), size, 1));
    tensors[0].grad = tensors[2].grad = nullptr;
    plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(tensors.data(), 3, 2, cuts);
    ASSERT_GT(parts, 1);
    for (int part = 1; part < parts; ++part) {
        EXPECT_EQ(cuts[part].tensor, 1);
        EXPECT_NEAR(static_cast<double>(cuts[part].offset), 1.0 * size / parts * part, 2 * plan::grain);
    }
}

}  // namespace
}  // namespace adamcore

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

/// What a step asked of its kernels, which here only take note: arrays of any size, without memory.
std::vector<Piece> asked;

constexpr std::uintptr_t address_of(int array) {
    return (std::uintptr_t{1} << 46) + static_cast<std::uintptr_t>(array) * (std::uintptr_t{1} << 40);
}

template <class T>
void note_sweep(const void*, double, std::int64_t count, std::int64_t, void* param, const void* grad,
                void* const* state) noexcept {
    const auto place = [](const void* at, int array) {
        return static_cast<std::int64_t>((reinterpret_cast<std::uintptr_t>(at) - address_of(array)) / sizeof(T));
    };
    const std::int64_t begin = place(param, 0);
    const bool agree = begin == place(grad, 1) && begin == place(state[0], 2);
    asked.push_back({agree ? 0 : -1, begin, begin + count});
}

void note_tiles(cpu::DenseSweep, const void*, const Tensor&, std::int64_t begin, std::int64_t end, double, Scale,
                const Treatment&) noexcept {
    asked.push_back({0, begin, end});
}

/// A step of one array of type T, whose gradient and state are of type G, cut for that many threads.
template <class T, class G>
void expect_whole(std::int64_t size, int threads) {
    cpu::Kernels kernels{};
    for (auto& sweep : kernels.sweep) {
        sweep[0] = {note_sweep<float>, 0};
        sweep[1] = {note_sweep<double>, 0};
    }
    kernels.tiles[0] = kernels.tiles[1] = note_tiles;
    Group group{};
    while (all_rules()[group.rule].slot_count != 1) ++group.rule;
    Tensor one = tensor<T>(reinterpret_cast<T*>(address_of(0)), reinterpret_cast<T*>(address_of(1)), size, 1);
    one.grad_dtype = dtype_of<G>;
    one.state[0] = reinterpret_cast<void*>(address_of(2));
    plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(&one, 1, threads, cuts);
    for (const bool reversed : {false, true}) {
        asked.clear();
        cpu::step(kernels, &group, &one, cuts, parts, cpu::Serial{}, {}, reversed);
        ASSERT_EQ(asked.size(), static_cast<std::size_t>(parts));
        if (reversed) std::reverse(asked.begin(), asked.end());
        std::int64_t done = 0;
        for (const Piece& piece : asked) {
            ASSERT_EQ(piece.tensor, 0);
            ASSERT_EQ(piece.begin, done);
            ASSERT_GT(piece.end, piece.begin);
            done = piece.end;
        }
        ASSERT_EQ(done, size);
    }
}

/// Begins and lengths beyond what 31 and 32 bits count, in one part and in many.
TEST(Step, HandsLargeArraysToItsKernelsWhole) {
    for (const std::int64_t size : {(std::int64_t{1} << 31) + 1000, (std::int64_t{1} << 34) + 100}) {
        for (const int threads : {1, 2, 5, 32}) {
            ASSERT_NO_FATAL_FAILURE((expect_whole<float, float>(size, threads)));
            ASSERT_NO_FATAL_FAILURE((expect_whole<double, double>(size, threads)));
            ASSERT_NO_FATAL_FAILURE((expect_whole<float, double>(size, threads)));
        }
    }
}

TEST(PartsFor, GrowsWithTheWork) {
    for (const int threads : {2, 3, 8, 100000}) {
        int least = 1;
        for (std::int64_t work = 0; work < std::int64_t{1} << 40; work += 1 + work / 3) {
            const int parts = cpu::parts_for(work, threads);
            ASSERT_GE(parts, least) << work << " bytes";
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

/// What an update reads and writes decides, and not how many elements there are.
TEST(WorkOf, CountsBytes) {
    float values[100];
    Tensor plain = tensor<float>(values, values, 100, 1);
    EXPECT_EQ(cpu::work_of(plain), 100 * 12);
    EXPECT_EQ(cpu::work_of(tensor<float>(values, values, 100, 1, values, values)), 100 * 28);
    double wide[100];
    EXPECT_EQ(cpu::work_of(tensor<double>(wide, wide, 100, 1, wide, wide)), 100 * 56);
    plain.dtype = plain.grad_dtype = Dtype::bfloat16;
    plain.weights = WeightPolicy::master;
    EXPECT_EQ(cpu::work_of(plain), 100 * (6 + 8 + cpu::tile_work));
    plain.grad = nullptr;
    EXPECT_EQ(cpu::work_of(plain), 0);
}

TEST(PlanStep, GivesSecondThreadsAsMuchToDoWhateverTheRule) {
    std::vector<float> values(1);
    float* const x = values.data();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto parts = [&](const Tensor& tensor) { return cpu::plan_step(&tensor, 1, 2, cuts); };
    constexpr std::int64_t most = 131072;
    EXPECT_EQ(parts(tensor<float>(x, x, most - 1, 1, x)), 1);
    EXPECT_GT(parts(tensor<float>(x, x, most, 1, x)), 1);
    EXPECT_EQ(parts(tensor<float>(x, x, 5 * most / 3, 1)), 1);
    EXPECT_GT(parts(tensor<float>(x, x, 5 * most / 3 + 1, 1)), 1);
    EXPECT_EQ(parts(tensor<float>(x, x, 5 * most / 7, 1, x, x)), 1);
    EXPECT_GT(parts(tensor<float>(x, x, 5 * most / 7 + 1, 1, x, x)), 1);
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

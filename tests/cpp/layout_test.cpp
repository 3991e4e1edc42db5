#include "adamcore/storage/layout.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "support/scattered.hpp"

/// Strided arrays are walked as nested loops walk them, and updated as dense arrays of the same numbers are.
namespace adamcore::test {
namespace {

Numbers walked(const Axes& axes, std::int64_t begin, std::int64_t end) {
    Numbers offsets;
    for_each_run(axes, 4, begin, end, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
        EXPECT_GT(count, 0);
        for (std::int64_t i = 0; i < count; ++i) offsets.push_back(offset + i * stride);
    });
    return offsets;
}

void expect_walked_like_loops(const OwnAxes& axes) {
    const Numbers all = offsets_of(axes);
    for (std::int64_t begin = 0; begin < axes.size(); ++begin) {
        for (std::int64_t end = begin + 1; end <= axes.size(); end += 1 + end % 3)
            ASSERT_EQ(walked(axes.view(), begin, end), Numbers(all.begin() + begin, all.begin() + end))
                << "[" << begin << ", " << end << ")";
    }
}

TEST(Runs, OfRandomAxesVisitWhatNestedLoopsVisit) {
    std::mt19937 random(43);
    for (int trial = 0; trial < 300; ++trial) {
        OwnAxes axes;
        for (auto count = 1 + random() % 4; count > 0; --count) {
            axes.shape.push_back(1 + random() % 4);
            axes.strides.push_back(static_cast<std::int64_t>(random() % 401) - 200);
        }
        ASSERT_NO_FATAL_FAILURE(expect_walked_like_loops(axes)) << "trial " << trial;
    }
}

TEST(Runs, OfAxesWithoutStrideStayWhereTheyAre) { expect_walked_like_loops({{3, 2, 4}, {0, -8, 0}}); }

TEST(Runs, OfTheMostAxesVisitWhatNestedLoopsVisit) {
    OwnAxes axes{Numbers(max_axes, 1), Numbers(max_axes, 1000)};
    for (const std::size_t axis : {0u, 1u, 20u, 62u, 63u}) {
        axes.shape[axis] = 2;
        axes.strides[axis] = 1 - 7 * static_cast<std::int64_t>(axis);
    }
    expect_walked_like_loops(axes);
}

TEST(Runs, OfDenseArraysAreOne) {
    int runs = 0;
    for_each_run(Axes{}, 4, 100, 350, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
        EXPECT_EQ((Numbers{offset, stride, count}), (Numbers{400, 4, 250}));
        ++runs;
    });
    EXPECT_EQ(runs, 1);
}

/// Which of the arrays lie strided.
struct Strided {
    bool param, grad;
};

/// Updates dense arrays and scattered copies of them: the same numbers come out, and no byte between them changes.
void expect_update_like_dense(const Storage& storage, Strided strided, const cpu::Kernels& kernels,
                              std::mt19937& random) {
    constexpr std::int64_t size = 2520;
    constexpr std::int64_t step = 2;
    const auto rules = simple_rules();
    const auto group = distinct_group(rules[random() % rules.size()], true, 0.7);
    const StoredTensor before(storage, cpu::all_rules()[group.rule], size, random());
    auto dense = before, actual = before;

    const OwnAxes param_axes = random_axes(size, static_cast<std::int64_t>(size_of(storage.param)), random);
    const OwnAxes grad_axes = random_axes(size, static_cast<std::int64_t>(size_of(storage.grad)), random);
    Scattered param(actual.param(), param_axes), grad(actual.grad(step), grad_axes);
    const Layout layout{strided.param ? param_axes.view() : Axes{}, strided.grad ? grad_axes.view() : Axes{}};
    Tensor view = actual.view(step);
    if (strided.param) view.param = param.data();
    if (strided.grad) view.grad = grad.data();
    view.layout = &layout;

    dispatch_in_parts(kernels, {group}, {dense.view(step)}, 1, cpu::Serial{});
    dispatch_in_parts(kernels, {group}, {view}, 7, cpu::Threads{3});
    ASSERT_TRUE(grad == Scattered(dense.grad(step), grad_axes));
    if (strided.param) {
        ASSERT_TRUE(param == Scattered(dense.param(), param_axes));
        actual.param() = dense.param();
    }
    ASSERT_TRUE(actual == dense);
    ASSERT_FALSE(dense == before);
}

TEST(Layouts, OfParamAndGradGiveTheSameBitsAsDenseArrays) {
    std::mt19937 random(47);
    for (const Storage& storage : every_storage()) {
        for (const Strided strided : {Strided{true, true}, Strided{true, false}, Strided{false, true}}) {
            for (int trial = 0; trial < 4; ++trial) {
                for (const cpu::Kernels* kernels : every_kernels())
                    ASSERT_NO_FATAL_FAILURE(expect_update_like_dense(storage, strided, *kernels, random))
                        << text_of(storage) << "; " << name_of(kernels->isa) << ", param "
                        << (strided.param ? "strided" : "dense") << ", grad " << (strided.grad ? "strided" : "dense");
            }
        }
    }
}

/// What is said of weights concerns half precision: float32 and float64 parameters are plain, dense or not.
TEST(Layouts, OfWideParametersKnowOfNoWeights) {
    constexpr std::int64_t size = 300;
    std::vector<float> p(2 * size, 1.0f), q(size, 1.0f), g(size, 1.0f);
    const std::int64_t shape = size, stride = 2 * sizeof(float);
    const Layout layout{{1, &shape, &stride}, {}};
    const cpu::Group group{index_of<Sgd>(), {0.5}, 1.0};
    for (const WeightPolicy weights :
         {WeightPolicy::master, WeightPolicy::remainder, WeightPolicy::compensated, WeightPolicy::stochastic}) {
        Tensor strided = tensor(p.data(), g.data(), size, 1), dense = tensor(q.data(), g.data(), size, 1);
        strided.layout = &layout;
        strided.weights = dense.weights = weights;
        dispatch_in_parts(cpu::best_kernels(), {group}, {strided}, 2, cpu::Serial{});
        dispatch_in_parts(cpu::best_kernels(), {group}, {dense}, 2, cpu::Serial{});
    }
    for (std::int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(q[static_cast<std::size_t>(i)], -1.0f);
        ASSERT_EQ(p[static_cast<std::size_t>(2 * i)], -1.0f);
        ASSERT_EQ(p[static_cast<std::size_t>(2 * i + 1)], 1.0f);
    }
}

/// A gradient may be one number seen everywhere: an axis without stride.
TEST(Layouts, OfABroadcastGradientGiveItToEveryElement) {
    constexpr std::int64_t size = 1000;
    const OwnAxes nowhere{{size}, {0}};
    const Layout layout{{}, nowhere.view()};
    for (const cpu::Kernels* kernels : every_kernels()) {
        StoredTensor dense({}, info_of<Sgd>(), size, 3), broadcast({}, info_of<Sgd>(), size, 3);
        for (std::int64_t i = 0; i < size; ++i) dense.grad(1).set(i, dense.grad(1)[0]);
        Tensor view = broadcast.view(1);
        view.layout = &layout;
        const cpu::Group group{index_of<Sgd>(), {0.5}, 1.0};
        dispatch_in_parts(*kernels, {group}, {dense.view(1)}, 1, cpu::Serial{});
        dispatch_in_parts(*kernels, {group}, {view}, 3, cpu::Serial{});
        EXPECT_TRUE(broadcast.param() == dense.param()) << name_of(kernels->isa);
    }
}

}  // namespace
}  // namespace adamcore::test

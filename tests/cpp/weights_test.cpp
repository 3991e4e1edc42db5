#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/halves.hpp"
#include "support/stored.hpp"

/// What is kept beside half-precision weights makes them as good as the float32 weights that the same gradients give.
namespace adamcore::test {
namespace {

constexpr std::int64_t size = 1003;

/// A half-precision tensor and one in float32 with the same weights, gradients and state.
struct Pair {
    StoredTensor half, wide;

    Pair(const Storage& storage, const RuleInfo& rule)
        : half(storage, rule, size, 7), wide({Dtype::float32, storage.grad, Dtype::float32}, rule, size, 7) {}

    void step(const cpu::Kernels& kernels, const cpu::Group& group, std::int64_t number) {
        dispatch_in_parts(kernels, {group}, {half.view(number), wide.view(number)}, 3, cpu::Threads{2});
    }
};

double rounded(Dtype dtype, double weight) {
    const auto narrow = static_cast<float>(weight);
    return dtype == Dtype::bfloat16 ? storage::rounded<bfloat16>(narrow) : storage::rounded<float16>(narrow);
}

/// Each weight is the one in float32, and each parameter what that rounds to.
void expect_same_weights(Pair& pair) {
    for (std::int64_t i = 0; i < size; ++i) {
        const double weight = pair.wide.param()[i];
        ASSERT_EQ(pair.half.weight(i), weight) << "element " << i;
        ASSERT_EQ(pair.half.param()[i], rounded(pair.half.storage().param, weight)) << "element " << i;
    }
    ASSERT_TRUE(pair.half.state() == pair.wide.state());
}

std::vector<Storage> storages_that_lose_nothing() {
    std::vector<Storage> all;
    for (const Storage& storage : every_storage()) {
        const bool is_kept = storage.weights == WeightPolicy::master || storage.weights == WeightPolicy::remainder;
        if (is_kept && storage.state == Dtype::float32) all.push_back(storage);
    }
    return all;
}

TEST(Weights, KeptInFullFollowFloat32) {
    for (const std::size_t rule : simple_rules()) {
        for (const Storage& storage : storages_that_lose_nothing()) {
            for (const cpu::Kernels* kernels : every_kernels()) {
                Pair pair(storage, cpu::all_rules()[rule]);
                for (std::int64_t step = 1; step <= StoredTensor::steps; ++step) {
                    pair.step(*kernels, distinct_group(rule, true, 1.0), step);
                    ASSERT_NO_FATAL_FAILURE(expect_same_weights(pair))
                        << cpu::all_rules()[rule].name << ", " << text_of(storage) << ", " << name_of(kernels->isa);
                }
            }
        }
    }
}

cpu::Group plain_descent(double lr) {
    cpu::Group group{index_of<Sgd>(), {}, 1.0};
    group.hyper[0] = lr;
    return group;
}

int ties_of(StoredTensor& tensor) {
    int ties = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) ties += detail::has_tie(tensor.view(1), i);
    return ties;
}

/// Weights 1 + k 2^-7 have odd and even bfloat16 numbers; half a unit from them lie ties that round up and down.
TEST(Weights, WithRemaindersPassThroughTies) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        Pair pair({Dtype::bfloat16, Dtype::float32, Dtype::float32, WeightPolicy::remainder}, info_of<Sgd>());
        for (std::int64_t i = 0; i < size; ++i) {
            const double weight = (i % 3 == 0 ? -1 : 1) * (1 + static_cast<double>(i % 120) * 0x1p-7);
            pair.half.start(i, weight);
            pair.wide.start(i, weight);
            for (Stored* grad : {&pair.half.grad(1), &pair.wide.grad(1)}) grad->set(i, i % 5 == 0 ? -0x1p-8 : 0x1p-8);
        }
        for (int step = 1; step <= 9; ++step) {
            pair.step(*kernels, plain_descent(1), 1);
            ASSERT_NO_FATAL_FAILURE(expect_same_weights(pair)) << "step " << step << ", " << name_of(kernels->isa);
            if (step % 2 == 0) {
                ASSERT_EQ(ties_of(pair.half), 0);
            } else {
                ASSERT_GT(ties_of(pair.half), size / 3);
                ASSERT_LT(ties_of(pair.half), size * 2 / 3);
            }
        }
    }
}

/// What a parameter is set to between steps becomes the weight; where nothing was set, the weight lives on.
TEST(Weights, UnderAMasterMayBeOverwritten) {
    for (const Dtype dtype : {Dtype::bfloat16, Dtype::float16}) {
        for (const cpu::Kernels* kernels : every_kernels()) {
            Pair pair({dtype, Dtype::float32, Dtype::float32, WeightPolicy::master}, info_of<Sgd>());
            pair.step(*kernels, plain_descent(0.1), 1);
            for (std::int64_t i = 0; i < size; i += 3) {
                const double value = rounded(dtype, pair.half.param()[i] * (i % 2 == 0 ? 1.25 : -1) + 0.01);
                ASSERT_NE(value, pair.half.param()[i]);
                pair.half.param().set(i, value);
                pair.wide.param().set(i, value);
            }
            pair.step(*kernels, plain_descent(0.1), 2);
            ASSERT_NO_FATAL_FAILURE(expect_same_weights(pair)) << name_of(dtype) << ", " << name_of(kernels->isa);
        }
    }
}

/// The farthest that any weight is from the one in float32 after 300 small steps, in units of bfloat16's spacing.
double drift_under(WeightPolicy weights) {
    Pair pair({Dtype::bfloat16, Dtype::float32, Dtype::float32, weights}, info_of<Sgd>());
    for (std::int64_t i = 0; i < size; ++i) {
        const double weight = 1 + static_cast<double>(i % 60) * 0x1p-7;
        for (StoredTensor* tensor : {&pair.half, &pair.wide}) {
            tensor->start(i, weight);
            tensor->grad(1).set(i, -0.1);
        }
    }
    for (int step = 1; step <= 300; ++step) pair.step(cpu::best_kernels(), plain_descent(0x1p-9), 1);
    double farthest = 0;
    for (std::int64_t i = 0; i < size; ++i)
        farthest = std::fmax(farthest, std::fabs(pair.half.weight(i) - pair.wide.param()[i]) * 0x1p7);
    return farthest;
}

TEST(Weights, AreMadeUpForByCompensationWhereRoundingAloneStands) {
    EXPECT_GT(drift_under(WeightPolicy::plain), 7.0);
    EXPECT_LT(drift_under(WeightPolicy::compensated), 0.5);
    EXPECT_EQ(drift_under(WeightPolicy::remainder), 0.0);
}

TEST(Weights, ThatOverflowLoseNothingToCompensation) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        StoredTensor tensor({Dtype::float16, Dtype::float32, Dtype::float32, WeightPolicy::compensated}, info_of<Sgd>(),
                            size, 3);
        for (std::int64_t i = 0; i < size; ++i) tensor.grad(1).set(i, -1e6);
        dispatch_in_parts(*kernels, {plain_descent(1)}, {tensor.view(1)}, 1, cpu::Serial{});
        for (std::int64_t i = 0; i < size; ++i) {
            ASSERT_EQ(tensor.param()[i], std::numeric_limits<double>::infinity());
            ASSERT_EQ(tensor.extras()[0][i], 0.0);
        }
    }
}

}  // namespace
}  // namespace adamcore::test

#include "adamcore/optimizer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "support/made_by_hand.hpp"
#include "support/messages.hpp"

namespace {

std::size_t allocations = 0;

}  // namespace

// Inlined, they would look to GCC as if they did not match each other.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t to) {
    ++allocations;
    const auto unit = static_cast<std::size_t>(to);
    if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace adamcore::test {
namespace {

constexpr int step_count = 4;

/// Steps of an optimizer, and of cpu::step<Rule>() with state that the test makes. The second tensor has no gradient in the
/// second step, and so one update less.
template <class Rule, class T>
void expect_same_steps(const typename Rule::Hyper& hyper) {
    std::vector<Arrays<T>> models = {Arrays<T>(12, 40, 1), Arrays<T>(0, 300, 2), Arrays<T>(3, 5000, 3)};
    std::vector<Arrays<T>> expected = models;
    Optimizer<Rule> opt(hyper);
    std::vector<ByHand<Rule, T>> by_hand;
    for (std::size_t i = 0; i < models.size(); ++i) {
        EXPECT_EQ(opt.add(models[i].param.data(), models[i].shape()), i);
        by_hand.emplace_back(expected[i], hyper);
    }
    HandMadeStep<Rule> step(hyper);
    for (int t = 1; t <= step_count; ++t) {
        std::vector<const T*> grads;
        std::vector<Tensor> tensors;
        for (std::size_t i = 0; i < models.size(); ++i) {
            const bool has_grad = i != 1 || t != 2;
            grads.push_back(has_grad ? models[i].grad(t) : nullptr);
            if (has_grad) tensors.push_back(by_hand[i].next(expected[i].grad(t)));
        }
        opt.hyper().lr = hyper.lr / t;
        opt.step(grads, cpu::Threads{2});
        step(tensors, hyper.lr / t);
        for (std::size_t i = 0; i < models.size(); ++i)
            ASSERT_EQ(models[i].param, expected[i].param) << Rule::name << ", step " << t << ", tensor " << i;
    }
    EXPECT_EQ(opt.completed(), step_count);
    EXPECT_EQ(opt.steps(0), step_count);
    EXPECT_EQ(opt.steps(1), step_count - 1);
    for (std::size_t i = 0; i < models.size(); ++i) by_hand[i].expect_state_of(opt, i);
}

TEST(Optimizer, StepsAsAStepWithHandMadeStateDoes) {
    expect_same_steps<AdamW, float>({});
    expect_same_steps<AdamW, double>({});
    expect_same_steps<Adafactor, float>({});
    expect_same_steps<Adafactor, double>({});
    expect_same_steps<Prodigy, float>({});
}

TEST(Optimizer, BeginsStateWithHyperParameters) {
    std::vector<float> p(5, 1.0f);
    Adagrad::Hyper hyper;
    hyper.initial_accumulator_value = 0.5;
    Optimizer<Adagrad> opt(hyper);
    opt.hyper().initial_accumulator_value = 0.75;
    opt.add(p.data(), p.size());
    EXPECT_EQ(opt.state(0, "sum").as<float>()[4], 0.75f);

    std::vector<float> sum(5, -1.0f), none(5);
    start_state<Adagrad>(tensor<Adagrad>(p.data(), none.data(), 5, 1, sum.data()), hyper);
    EXPECT_EQ(sum, std::vector<float>(5, 0.5f));
}

TEST(Optimizer, KeepsNumbersOfTheWholeOptimizer) {
    std::vector<float> p(5, 1.0f), g(5, 1.0f);
    Prodigy::Hyper hyper;
    hyper.d0 = 0.5;
    Optimizer<Prodigy> opt(hyper);
    EXPECT_THROW(opt.number("d"), std::invalid_argument);
    opt.add(p.data(), p.size());
    EXPECT_EQ(opt.number("d"), 0.5);
    EXPECT_EQ(opt.state(0, "p0").as<float>()[0], 1.0f);
    opt.step(g);
    EXPECT_EQ(opt.number("k"), 1);
    EXPECT_THROW(opt.number("e"), std::invalid_argument);
}

TEST(Optimizer, HasGroupsInOneStep) {
    std::vector<float> p(100, 1.0f), q(100, 1.0f), alone = p, g(100, 0.5f);
    AdamW::Hyper slow;
    slow.lr = 1e-5;
    Optimizer<AdamW> opt, other(slow);
    opt.add(p.data(), p.size());
    const std::size_t group = opt.add_group(slow);
    EXPECT_EQ(group, 1u);
    opt.add(q.data(), q.size(), group);
    other.add(alone.data(), alone.size());
    for (int t = 0; t < 3; ++t) {
        opt.step({g, g});
        other.step(g);
    }
    EXPECT_EQ(q, alone);
    EXPECT_LT(p[0], q[0]);
}

TEST(Optimizer, TakesGradientsOfManyKinds) {
    std::array<float, 4> p{1, 2, 3, 4}, q = p;
    const std::vector<double> wide(4, 0.5);
    const float narrow[] = {0.5f, 0.5f, 0.5f, 0.5f};
    Optimizer<AdamW> opt, one;
    opt.add(p.data(), p.size());
    opt.add(q.data(), q.size());
    opt.step({wide, narrow});
    EXPECT_EQ(p, q);
    opt.step(std::vector<const float*>{narrow, narrow});
    opt.step(std::array<Grad, 2>{wide, nullptr});
    opt.step(std::vector<Grad>{nullptr, wide});
    EXPECT_EQ(p, q);
    std::array<float, 4> r{1, 2, 3, 4};
    one.add(r.data(), {2, 2});
    one.step(narrow);
    one.step({narrow});
    one.step(wide);
    EXPECT_EQ(r, p);
}

TEST(Optimizer, KeepsHalfPrecisionWeightsWithMasters) {
    std::vector<bfloat16> p(300, storage::encode<bfloat16>(1.0f));
    std::vector<float> wide(300, 1.0f), g(300, 0.5f);
    Optimizer<AdamW> opt, expected;
    opt.add(p.data(), p.size());
    expected.add(wide.data(), wide.size());
    for (int t = 0; t < 5; ++t) {
        opt.step(g);
        expected.step(g);
    }
    const StateArray master = opt.state(0, "master");
    EXPECT_EQ(std::vector<float>(master.as<float>(), master.as<float>() + master.size), wide);
    EXPECT_EQ(storage::decode(p[7]), storage::decode(storage::encode<bfloat16>(wide[7])));
    EXPECT_THROW(master.as<double>(), std::invalid_argument);

    Tensor remainder = parameter(p.data(), p.size());
    remainder.weights = WeightPolicy::remainder;
    remainder.state_dtype = Dtype::bfloat16;
    Optimizer<AdamW> small;
    small.add(remainder);
    small.step(g, cpu::Serial{}, Treatment{0.5});
    EXPECT_EQ(small.state(0, "remainder_ties").size, 38);
    EXPECT_NE(small.state(0, "exp_avg").as<bfloat16>()[0].bits, 0);
}

TEST(Optimizer, TakesStridedParameters) {
    std::vector<float> pairs(200), dense(100), g(100, 0.5f);
    for (std::size_t i = 0; i < dense.size(); ++i) pairs[2 * i] = dense[i] = static_cast<float>(i);
    const std::int64_t shape[] = {100}, apart[] = {8}, together[] = {4};
    const Layout layout{{1, shape, apart}, {1, shape, together}};
    Tensor tensor = parameter(pairs.data(), 100);
    tensor.layout = &layout;
    Optimizer<Prodigy> opt, expected;
    opt.add(tensor);
    expected.add(dense.data(), dense.size());
    EXPECT_EQ(opt.state(0, "p0").as<float>()[99], 99.0f);
    for (int t = 0; t < 3; ++t) {
        opt.step(g);
        expected.step(g);
    }
    for (std::size_t i = 0; i < dense.size(); ++i) ASSERT_EQ(pairs[2 * i], dense[i]);
    EXPECT_EQ(pairs[1], 0.0f);
}

TEST(Optimizer, ContinuesFromSavedState) {
    std::vector<float> p(50, 1.0f), g(50, 0.5f);
    Optimizer<AdamW> opt;
    opt.add(p.data(), p.size());
    for (int t = 0; t < 3; ++t) opt.step(g);
    std::vector<float> resumed = p;
    Optimizer<AdamW> later;
    later.add(resumed.data(), resumed.size());
    for (const StateArray& array : opt.state(0))
        std::memcpy(later.state(0, array.name).data, array.data, static_cast<std::size_t>(array.size) * sizeof(float));
    later.set_steps(0, opt.steps(0));
    opt.step(g);
    Optimizer<AdamW> moved = std::move(later);
    moved.step(g);
    EXPECT_EQ(p, resumed);
    EXPECT_EQ(moved.steps(0), 4);
}

TEST(Optimizer, AllocatesNothingInAStep) {
    std::vector<float> p(20000, 1.0f), q(20000, 1.0f), g(20000, 0.5f);
    Optimizer<Adafactor> opt;
    opt.add(p.data(), {100, 200});
    opt.add(q.data(), q.size());
    const std::vector<const float*> grads{g.data(), g.data()};
    const std::size_t before = allocations;
    for (int t = 0; t < 3; ++t) opt.step(grads);
    opt.step({nullptr, g.data()});
    EXPECT_EQ(allocations, before);
}

TEST(Optimizer, RefusesParametersThatDoNotFit) {
    std::vector<float> p(12), q(12);
    std::vector<float16> half(12);
    Optimizer<AdamW> opt;
    opt.add(p.data(), p.size());
    const auto message = [&](auto* param, const ArrayShape& shape, std::size_t group = 0) {
        return message_of([&] { opt.add(param, shape, group); });
    };
    EXPECT_TRUE(contains(message(p.data() + 11, 1), "tensor 1 shares memory with tensor 0"));
    EXPECT_TRUE(contains(message(q.data(), -1), "tensor 1 has a shape with a negative length"));
    EXPECT_TRUE(contains(message(q.data(), {1 << 30, 1 << 30}), "too many elements"));
    EXPECT_TRUE(contains(message(static_cast<float*>(nullptr), 3), "tensor 1 has a null pointer"));
    EXPECT_TRUE(contains(message(q.data(), 3, 4), "there is no group 4"));
    const auto message_with = [&](auto* param, auto&& change) {
        Tensor tensor = parameter(param, 12);
        change(tensor);
        return message_of([&] { opt.add(tensor); });
    };
    EXPECT_TRUE(
        contains(message_with(half.data(), [](Tensor& t) { t.weights = WeightPolicy::remainder; }), "bfloat16"));
    EXPECT_TRUE(contains(message_with(q.data(), [](Tensor& t) { t.weights = WeightPolicy::master; }), "tensor 1"));
    EXPECT_TRUE(contains(message_with(q.data(), [](Tensor& t) { t.state_dtype = Dtype::float64; }), "float64"));
    EXPECT_TRUE(contains(message_with(q.data(), [](Tensor& t) { t.rows = 5, t.columns = 2; }), "multiple"));
    EXPECT_EQ(opt.size(), 1u);
    EXPECT_EQ(opt.add(q.data(), q.size()), 1u);
}

TEST(Optimizer, LeavesEverythingAsItWasWhereAStepThrows) {
    std::vector<float> p(12, 1.0f), q(12, 1.0f), g(12, 0.5f), short_grad(11);
    Optimizer<AdamW> opt;
    opt.add(p.data(), p.size());
    opt.add(q.data(), q.size());
    EXPECT_TRUE(contains(message_of([&] { opt.step({g, short_grad}); }), "tensor 1 has 12 elements"));
    EXPECT_TRUE(contains(message_of([&] { opt.step({g}); }), "2 tensors and 1 gradients"));
    EXPECT_TRUE(contains(message_of([&] { opt.step(g); }), "2 tensors and 1 gradients"));
    EXPECT_TRUE(contains(message_of([&] { opt.step({g, g, g}); }), "2 tensors and 3 gradients"));
    Treatment by_units;
    by_units.by_units = true;
    EXPECT_TRUE(contains(message_of([&] { opt.step({g, g}, cpu::Serial{}, by_units); }), "by units"));
    opt.hyper().beta1 = 1;
    EXPECT_TRUE(contains(message_of([&] { opt.step({g, g}); }), "adamw: beta1 must be a number in [0, 1), got 1"));
    EXPECT_TRUE(contains(message_of([&] { opt.add_group(opt.hyper()); }), "got 1 in group 1"));
    EXPECT_EQ(p, std::vector<float>(12, 1.0f));
    EXPECT_EQ(opt.state(0, "exp_avg").as<float>()[0], 0.0f);
    EXPECT_EQ(opt.steps(0), 0);
    EXPECT_EQ(opt.completed(), 0);
    EXPECT_EQ(opt.group_count(), 1u);
    EXPECT_THROW(opt.hyper(1), std::invalid_argument);
    EXPECT_THROW(opt.state(0, "momentum"), std::invalid_argument);
    EXPECT_THROW(opt.state(2), std::out_of_range);
    EXPECT_THROW(opt.set_steps(0, -1), std::invalid_argument);
}

TEST(Optimizer, RequiresSharedNumbersToAgree) {
    std::vector<float> p(3, 1.0f), q(3, 1.0f), g(3, 0.5f);
    Optimizer<Prodigy> opt;
    opt.add(p.data(), p.size());
    opt.add(q.data(), q.size(), opt.add_group({/*lr=*/0}));
    opt.step({g, g});
    EXPECT_EQ(q, std::vector<float>(3, 1.0f));
    opt.hyper(1).lr = 2;
    EXPECT_TRUE(contains(message_of([&] {
                             opt.step({g, g});
                         }),
                         "lr must be the same in all groups, or 0, got 1 in group 0 and 2 in group 1"));
    opt.hyper(1).lr = 1;
    opt.hyper(1).d0 = 3;
    EXPECT_TRUE(contains(message_of([&] { opt.step({g, g}); }), "d0 must be the same in all groups"));
}

}  // namespace
}  // namespace adamcore::test

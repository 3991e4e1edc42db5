#undef NDEBUG  // for what a step asserts
#include "adamcore/optimizer/by_name.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "support/messages.hpp"
#include "support/parameters.hpp"

namespace adamcore::test {
namespace {

std::vector<float> numbers(std::size_t size, std::uint64_t seed) {
    std::vector<float> values(size);
    std::mt19937_64 random(seed);
    fill_randomly(values.data(), size, true, random);
    return values;
}

/// A model of a vector and a matrix, with state for a rule that was chosen by its name.
struct Raw {
    explicit Raw(const Group& group) {
        const RuleInfo* const infos = all_rules().data();
        for (std::size_t i = 0; i < 2; ++i) {
            Tensor t = tensor(params[i].data(), grads[i].data(), static_cast<std::int64_t>(params[i].size()), 1);
            if (i == 1) t.rows = 30, t.columns = 40;
            const RuleInfo& info = infos[rule_of(group, t)];
            for (std::size_t k = 0; k < info.slot_count; ++k) {
                state.emplace_back(static_cast<std::size_t>(slot_size(t, info.slots[k])));  // room for doubles
                t.state[k] = state.back().data();
            }
            start_state(t, group);
            tensors.push_back(t);
        }
        const RuleInfo& info = infos[group.rule];
        for (std::size_t k = 0; k < info.number_count; ++k) shared.push_back(info.first_number(group.hyper, k));
    }

    std::vector<std::vector<float>> params = {numbers(300, 1), numbers(1200, 2)},
                                    grads = {numbers(300, 3), numbers(1200, 4)};
    std::vector<std::vector<double>> state;
    std::vector<Tensor> tensors;
    std::vector<double> shared;
};

/// Whether the optimizer and the step by name do what the static and the run-time engine do, for every rule.
TEST(ByName, EveryRuleSteps) {
    for (const RuleInfo& info : all_rules()) {
        const Group group = named_group(info.name, {{info.fields[0].name, 0.01}});
        Raw stepped(group), owned(group);
        NamedOptimizer opt(info.name, {{info.fields[0].name, 0.01}});
        opt.add(owned.params[0].data(), 300);
        opt.add(owned.params[1].data(), {30, 40});
        for (int t = 0; t < 3; ++t) {
            OwnWorkspace workspace(cpu::workspace_size(&group, stepped.tensors.data(), 2));
            cpu::step(info.name, stepped.tensors.data(), 2, {{info.fields[0].name, 0.01}}, cpu::Serial{}, {},
                      workspace.get(), stepped.shared.data());
            for (Tensor& tensor : stepped.tensors) ++tensor.step;
            opt.step(owned.grads, cpu::Threads{2});
        }
        EXPECT_EQ(owned.params, stepped.params) << info.name;
        EXPECT_NE(owned.params, Raw(group).params) << info.name;
        for (std::size_t k = 0; k < info.number_count; ++k)
            EXPECT_EQ(opt.number(info.numbers[k]), stepped.shared[k]) << info.name;
    }
}

/// A step asserts that what add() has reserved is enough, whatever the order and the shapes.
TEST(ByName, EveryRuleReservesItsWorkspace) {
    const ArrayShape shapes[] = {5, {3, 7000}, 0, {2, 5, 6}, {7000, 3}, 9000, {1, 1}, {0, 4}};
    for (const RuleInfo& info : all_rules()) {
        NamedOptimizer opt(info.name);
        std::vector<std::vector<float>> params;
        std::vector<const float*> grads;
        const std::vector<float> g(21000, 0.5f);
        for (const ArrayShape& shape : shapes) params.emplace_back(static_cast<std::size_t>(shape.size()), 1.0f);
        for (std::size_t i = 0; i < params.size(); ++i) {
            opt.add(params[i].data(), shapes[i]);
            grads.push_back(g.data());
            opt.step(grads);
        }
        opt.step(std::vector<const float*>(params.size()));
        EXPECT_EQ(opt.steps(0), 8) << info.name;
        EXPECT_EQ(opt.steps(6), 2) << info.name;
    }
}

TEST(ByName, IsTheRuleThatIsKnownAtCompileTime) {
    std::vector<float> p = numbers(1000, 1), q = p;
    const std::vector<float> g = numbers(1000, 2);
    Optimizer<AdamW> expected({1e-2});
    NamedOptimizer opt("adamw", {{"lr", 1e-3}});
    expected.add(p.data(), p.size());
    opt.add(q.data(), q.size());
    opt.set_hyper({{"lr", 1e-2}});
    EXPECT_EQ(opt.hyper("lr"), 1e-2);
    EXPECT_EQ(opt.hyper("beta2"), 0.999);
    for (int t = 0; t < 3; ++t) {
        expected.step(g);
        opt.step(g);
    }
    EXPECT_EQ(p, q);
}

TEST(ByName, ErrorsNameWhatThereIs) {
    std::vector<float> p(5, 1.0f), g(5, 0.5f), m(5), v(5), p2 = p;
    const Tensor one = tensor(p.data(), g.data(), 5, 1, m.data()),
                 whole = tensor<AdamW>(p.data(), g.data(), 5, 1, m.data(), v.data());
    const auto message = [&](const char* rule, const Tensor& t, NamedNumbers hyper = {}) {
        return message_of([&] { cpu::step(rule, &t, 1, hyper); });
    };
    EXPECT_TRUE(contains(message("adamv", whole), "there is no rule named 'adamv'; the rules are adam, "));
    EXPECT_TRUE(contains(message("adamw", whole, {{"eta", 1}}), "adamw has no hyper-parameter 'eta'; it has lr, "));
    EXPECT_TRUE(contains(message("adamw", whole, {{"lr", -1}}), "lr must be a finite number >= 0, got -1"));
    EXPECT_TRUE(
        contains(message("adamw", one), "adamw: tensor 0 has 1 state arrays, and the rule has 2: exp_avg, exp_avg_sq"));
    EXPECT_TRUE(contains(message("sgd", one), "sgd: tensor 0 has 1 state arrays, and the rule has 0"));
    EXPECT_TRUE(contains(message("lamb", whole), "lamb needs a workspace"));
    Tensor in_group = whole;
    in_group.group = 1;
    EXPECT_TRUE(contains(message("adamw", in_group), "tensor 0 is not in group 0"));
    EXPECT_EQ(p, p2);
    EXPECT_EQ(m, std::vector<float>(5));
    EXPECT_TRUE(contains(message_of([] { NamedOptimizer("adamv"); }), "there is no rule"));
    NamedOptimizer opt("prodigy");
    EXPECT_TRUE(contains(message_of([&] {
                             opt.set_hyper({{"lr", 2}, {"decouple", 0.5}});
                         }),
                         "decouple must be 0 or 1"));
    EXPECT_EQ(opt.hyper("lr"), 1);
    opt.set_hyper({{"beta3", rule::none}});
    EXPECT_THROW(opt.hyper("lr", 1), std::invalid_argument);
    EXPECT_EQ(opt.hyper("lr", opt.add_group({{"lr", 0}})), 0);
}

TEST(ByName, StepsNeedTheRulesNumbers) {
    Raw raw(named_group("prodigy"));
    const Group group = named_group("prodigy");
    OwnWorkspace workspace(cpu::workspace_size(&group, raw.tensors.data(), 2));
    EXPECT_TRUE(contains(
        message_of([&] { cpu::step("prodigy", raw.tensors.data(), 2, {}, cpu::Serial{}, {}, workspace.get()); }),
        "needs an array of 4"));
}

TEST(StateDeathTest, IsAssertedToHaveAsManyArraysAsTheRuleHasSlots) {
    std::vector<float> p(5, 1.0f), g(5, 0.5f), m(5);
    const Tensor too_few = tensor(p.data(), g.data(), 5, 1, m.data());
    EXPECT_DEATH(cpu::step<AdamW>(&too_few, 1, AdamW::Hyper{}), "have_state");
    const Tensor too_many = tensor(p.data(), g.data(), 5, 1, m.data(), m.data(), m.data());
    EXPECT_DEATH(cpu::step<AdamW>(&too_many, 1, AdamW::Hyper{}), "have_state");
    const Group group = named_group("adamw");
    const plan::Cut cuts[] = {{0, 0}, {1, 0}};
    EXPECT_DEATH(cpu::step(cpu::best_kernels(), &group, &too_few, cuts, 1, cpu::Serial{}), "have_state");
}

}  // namespace
}  // namespace adamcore::test

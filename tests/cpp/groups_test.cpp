#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "support/parameters.hpp"

/// One call over groups of every rule and both element types equals each on its own.
namespace adamcore::test {
namespace {

/// Parameters of several groups, rules and types, each with what the plain loop makes of it.
class Mixture {
public:
    const std::vector<cpu::Group>& groups() const { return groups_; }
    const std::vector<Tensor>& tensors() const { return tensors_; }

    template <class Rule, class T>
    void add(std::size_t group, std::int64_t size, std::int64_t step, const typename Rule::Hyper& hyper,
             double grad_scale) {
        auto parameter = std::make_shared<Parameter<Rule, T>>(size, step, 0, random_);
        auto expected = std::make_shared<Parameter<Rule, T>>(*parameter);
        expected->update_plainly(hyper, grad_scale);
        if (group >= groups_.size()) groups_.resize(group + 1);
        groups_[group] = group_of<Rule>(hyper, grad_scale);
        tensors_.push_back(parameter->view());
        tensors_.back().group = static_cast<std::int32_t>(group);
        checks_.push_back([parameter, expected] { return parameter->same_bits(*expected); });
    }

    bool is_updated() const {
        return std::all_of(checks_.begin(), checks_.end(), [](const auto& is_right) { return is_right(); });
    }

private:
    std::mt19937_64 random_{9};
    std::vector<cpu::Group> groups_;
    std::vector<Tensor> tensors_;
    std::vector<std::function<bool()>> checks_;
};

/// Each parameter a group of its own, so that neighbours never share constants.
template <class... Rules>
Mixture every_rule(rule::List<Rules...>) {
    Mixture mixture;
    std::size_t group = 0;
    const auto add = [&](auto one, std::int64_t size) {
        using Rule = typename decltype(one)::Rule;
        auto hyper = hypers<Rule>()[group % 2];
        hyper.*Rule::fields[0].member += 0.001 * static_cast<double>(group);
        const auto step = static_cast<std::int64_t>(1 + group % 11);
        mixture.add<Rule, typename decltype(one)::T>(group, size, step, hyper, group % 3 ? 0.5 : -1.0);
        ++group;
    };
    for (const std::int64_t size : {100, 1, 8191, 0, 20000}) {
        (add(Case<Rules, float>{}, size), ...);
        (add(Case<Rules, double>{}, size), ...);
    }
    return mixture;
}

/// Neighbours whose constants differ in their group or their type alone, and have one place in the engine's cache.
Mixture alike_neighbours() {
    Mixture mixture;
    const auto hyper_of = [](std::size_t group) {
        AdamW::Hyper hyper;
        hyper.lr = 0.1 + 0.01 * static_cast<double>(group);
        return hyper;
    };
    for (const std::size_t group : {0u, 8u, 16u}) mixture.add<AdamW, float>(group, 100, 5, hyper_of(group), 1.0);
    for (const std::size_t group : {16u, 8u, 0u}) mixture.add<AdamW, double>(group, 100, 5, hyper_of(group), 1.0);
    return mixture;
}

TEST(Groups, OfEveryRuleAndTypeStepInOneCall) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (const int threads : {1, 2, 5}) {
            const Mixture mixture = every_rule(SimpleRules{});
            ASSERT_FALSE(mixture.is_updated());
            dispatch(*kernels, mixture.groups(), mixture.tensors(), cpu::Threads{threads});
            EXPECT_TRUE(mixture.is_updated()) << name_of(kernels->isa) << ", " << threads << " threads";
        }
    }
}

TEST(Groups, KeepTheirOwnConstants) {
    const Mixture mixture = alike_neighbours();
    dispatch(cpu::best_kernels(), mixture.groups(), mixture.tensors(), cpu::Serial{});
    EXPECT_TRUE(mixture.is_updated());
}

TEST(Groups, MayBeSteppedApart) {
    const Mixture mixture = every_rule(SimpleRules{});
    for (const Tensor& tensor : mixture.tensors()) {
        dispatch(cpu::best_kernels(), mixture.groups(), {tensor}, cpu::Threads{2});
    }
    EXPECT_TRUE(mixture.is_updated());
}

TEST(Groups, MayBeSteppedFromTheLastPartToTheFirst) {
    const Mixture mixture = every_rule(SimpleRules{});
    const auto count = static_cast<std::int64_t>(mixture.tensors().size());
    plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(mixture.tensors().data(), count, 5, cuts);
    ASSERT_GT(parts, 1);
    cpu::step(cpu::best_kernels(), mixture.groups().data(), mixture.tensors().data(), cuts, parts, cpu::Threads{2}, {},
              true);
    EXPECT_TRUE(mixture.is_updated());
}

TEST(Groups, OfNoTensorsAreNoWork) {
    dispatch(cpu::best_kernels(), {}, {}, cpu::Threads{2});
    dispatch(cpu::best_kernels(), {cpu::Group{}}, {Tensor{}, Tensor{}}, cpu::Threads{2});
}

TEST(Models, OfTheTestsAreCutIntoParts) {
    plan::Cut cuts[cpu::max_parts + 1];
    const auto tensors = Model<AdamW, float>().tensors();
    EXPECT_GE(cpu::plan_step(tensors.data(), static_cast<std::int64_t>(tensors.size()), 2, cuts), 2);
    EXPECT_GE(cpu::plan_step(tensors.data(), static_cast<std::int64_t>(tensors.size()), 5, cuts), 5);
}

TEST(Kernels, BestOnesAreTheWidestThatTheProcessorRuns) {
    const auto kernels = every_kernels();
    ASSERT_FALSE(kernels.empty());
    EXPECT_EQ(kernels.front()->isa, cpu::Isa::baseline);
    EXPECT_EQ(kernels.back(), &cpu::best_kernels());
    for (const cpu::Kernels* each : kernels) EXPECT_TRUE(cpu::supports(each->isa));
}

}  // namespace
}  // namespace adamcore::test

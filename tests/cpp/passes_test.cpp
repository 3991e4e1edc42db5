#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "support/own_rule.hpp"
#include "support/stored.hpp"

/// Rules with passes have the bits of the plain step: in every engine, cut into any parts, for every element type.
namespace adamcore::test {
namespace {

struct Shape {
    std::int64_t matrices, rows, columns;  ///< a vector if `rows` is 0
};

/// Around the borders of tiles, leaves and blocks, with vectors among matrices.
const std::vector<Shape> small_shapes{{1, 0, 5},  {1, 5, 7}, {3, 2, 33},   {1, 70, 31}, {1, 1, 300},  {1, 300, 1},
                                      {2, 65, 3}, {1, 0, 0}, {1, 0, 4099}, {1, 3, 260}, {1, 2, 4100}, {1, 130, 64}};
/// Large enough to be cut into parts.
const std::vector<Shape> large_shapes{{1, 200, 500}, {1, 0, 50001}, {1, 3, 20011}, {1, 10011, 3}, {2, 70, 129}};

/// Rules that have passes, by index, but not those that only stand for vectors.
/// The presets, but for some: ratios, decay and limits are at work.
cpu::Group group_of_presets(std::size_t rule, double weight_decay) {
    const RuleInfo& info = cpu::all_rules()[rule];
    cpu::Group group{rule, {}, -0.7};
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const std::string name = info.fields[i].name;
        group.hyper[i] = name == "weight_decay" ? weight_decay : name == "momentum" ? 0.9 : info.fields[i].preset;
    }
    return group;
}

/// Tensors of two groups of a rule, and the numbers of their optimizer.
struct Problem {
    Problem(std::size_t rule, const Storage& storage, const std::vector<Shape>& shapes)
        : groups{group_of_presets(rule, 0.02), group_of_presets(rule, 0)} {
        for (const Shape& shape : shapes) {
            const std::size_t own = shape.rows == 0 ? cpu::all_rules()[rule].for_vectors : rule;
            tensors.emplace_back(storage, cpu::all_rules()[own], shape.matrices, shape.rows, shape.columns,
                                 tensors.size());
        }
        for (std::size_t k = 0; k < cpu::all_rules()[rule].number_count; ++k)
            numbers.push_back(cpu::all_rules()[rule].first_number(groups[0].hyper, k));
    }

    std::vector<Tensor> views(std::int64_t step) {
        std::vector<Tensor> found;
        for (StoredTensor& tensor : tensors) {
            found.push_back(tensor.view(step));
            found.back().group = static_cast<std::int32_t>(found.size() % 2);
            if (found.size() == 3 && step == 2) found.back().grad = nullptr;
        }
        return found;
    }

    bool operator==(const Problem& other) const { return tensors == other.tensors && numbers == other.numbers; }

    std::vector<cpu::Group> groups;
    std::vector<StoredTensor> tensors;
    std::vector<double> numbers;
};

std::string text_of(std::size_t rule, const Storage& storage, const cpu::Kernels& kernels) {
    return std::string(cpu::all_rules()[rule].name) + ", " + text_of(storage) + ", " + name_of(kernels.isa);
}

Treatment seeded(double limit = Treatment::no_limit) {
    Treatment treatment;
    treatment.scale = 0.6;
    treatment.limit = limit;
    treatment.seed = 77;
    return treatment;
}

/// Steps of every engine with these tensors.
void expect_plain_steps(std::size_t rule, const Storage& storage, const std::vector<Shape>& shapes, std::int64_t steps,
                        const std::vector<int>& threads, const Treatment& treatment) {
    const Problem before(rule, storage, shapes);
    std::vector<Problem> expected{before};
    for (std::int64_t step = 1; step <= steps; ++step) {
        expected.push_back(expected.back());
        update_plainly(before.groups, expected.back().views(step), treatment, expected.back().numbers.data());
        ASSERT_FALSE(expected.back() == before);
    }
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (const int count : threads) {
            Problem actual = before;
            for (std::int64_t step = 1; step <= steps; ++step) {
                dispatch(*kernels, before.groups, actual.views(step), cpu::Threads{count}, treatment,
                         actual.numbers.data());
                ASSERT_TRUE(actual == expected[static_cast<std::size_t>(step)])
                    << text_of(rule, storage, *kernels) << ", step " << step << ", " << count << " threads";
            }
        }
    }
}

TEST(Passes, OfEveryStorageEqualThePlainLoop) {
    for (const std::size_t rule : rules_with_passes()) {
        std::size_t place = 0;
        for (const Storage& storage : every_storage())
            expect_plain_steps(rule, storage, {small_shapes[place++ % 5], {1, 3, 100}, {1, 0, 130}}, 2, {1}, seeded());
    }
}

constexpr Storage plain_storages[] = {
    {},
    {Dtype::float64, Dtype::float64, Dtype::float64},
    {Dtype::bfloat16, Dtype::bfloat16, Dtype::bfloat16, WeightPolicy::remainder, StateRounding::stochastic}};

TEST(Passes, OfEveryShapeEqualThePlainLoop) {
    for (const std::size_t rule : rules_with_passes()) {
        for (const Storage& storage : plain_storages) {
            expect_plain_steps(rule, storage, small_shapes, 3, {1}, seeded());
            expect_plain_steps(rule, storage, small_shapes, 1, {1}, seeded(0.2));
        }
    }
}

TEST(Passes, OfEveryThreadEqualThePlainLoop) {
    for (const std::size_t rule : rules_with_passes()) {
        expect_plain_steps(rule, plain_storages[rule % std::size(plain_storages)], large_shapes, 1, {1, 2, 5},
                           seeded());
    }
}

/// The static engine, which knows one rule and the one that it names for vectors.
template <class Rule>
void expect_plain_static_steps(const Storage& storage, const std::vector<Shape>& shapes, int threads) {
    const auto rules = plain_rules(cpu::detail::StaticRules<Rule>{});
    const typename Rule::Hyper hyper;
    Group group;
    for (std::size_t k = 0; k < Rule::fields.size(); ++k) group.hyper[k] = hyper.*Rule::fields[k].member;
    std::vector<StoredTensor> expected;
    for (const Shape& shape : shapes) {
        const RuleInfo& own = rules[shape.rows == 0 ? rules[0].info.for_vectors : 0].info;
        expected.emplace_back(storage, own, shape.matrices, shape.rows, shape.columns, expected.size());
    }
    double numbers[max_numbers];
    for (std::size_t k = 0; k < max_numbers; ++k) numbers[k] = rules[0].info.first_number(group.hyper, k);
    double expected_numbers[max_numbers];
    std::copy_n(numbers, max_numbers, expected_numbers);
    auto actual = expected;
    const auto views = [](std::vector<StoredTensor>& tensors, std::int64_t step) {
        std::vector<Tensor> found;
        for (StoredTensor& tensor : tensors) found.push_back(tensor.view(step));
        return found;
    };
    for (std::int64_t step = 1; step <= 2; ++step) {
        step_plainly(rules, {group}, views(expected, step), seeded(), expected_numbers);
        const std::vector<Tensor> tensors = views(actual, step);
        const auto count = static_cast<std::int64_t>(tensors.size());
        OwnWorkspace workspace(cpu::workspace_size<Rule>(tensors.data(), count));
        cpu::step<Rule>(tensors.data(), count, hyper, cpu::Threads{threads}, seeded(), workspace.get(), numbers);
        ASSERT_TRUE(actual == expected) << Rule::name << ", " << text_of(storage) << ", step " << step;
        ASSERT_TRUE(std::equal(numbers, numbers + max_numbers, expected_numbers));
    }
}

TEST(Passes, OfStaticDispatchEqualThePlainLoop) {
    for (const Storage& storage : plain_storages) {
        expect_plain_static_steps<Lamb>(storage, small_shapes, 1);
        expect_plain_static_steps<Adafactor>(storage, small_shapes, 2);
        expect_plain_static_steps<Prodigy>(storage, small_shapes, 1);
    }
}

TEST(Passes, OfARuleOfOnesOwnEqualThePlainLoop) {
    std::vector<Shape> matrices;
    for (const Shape& shape : small_shapes) {
        if (shape.rows > 0) matrices.push_back(shape);
    }
    for (const Storage& storage : plain_storages) expect_plain_static_steps<OwnRule>(storage, matrices, 1);
    for (const Storage& storage : every_storage())
        expect_plain_static_steps<OwnRule>(storage, {{3, 2, 33}, {1, 3, 260}, {1, 70, 11}}, 1);
    expect_plain_static_steps<OwnRule>(plain_storages[2], {{1, 300, 500}, {1, 3, 30011}, {1, 10011, 3}}, 3);
}

TEST(Passes, NeedNoWorkspaceWhereThereAreNone) {
    StoredTensor one({}, info_of<AdamW>(), 1, 3, 5, 1);
    const Tensor tensor = one.view(1);
    EXPECT_EQ(cpu::workspace_size<AdamW>(&tensor, 1), 0u);
    EXPECT_GT(cpu::workspace_size<Lamb>(&tensor, 1), 0u);
    const cpu::Group groups[] = {group_of_presets(index_of<AdamW>(), 0), group_of_presets(index_of<Lamb>(), 0)};
    EXPECT_EQ(cpu::workspace_size(groups, &tensor, 1), 0u);
    EXPECT_EQ(cpu::workspace_size(groups + 1, &tensor, 1), cpu::workspace_size<Lamb>(&tensor, 1) + sizeof(StepStorage) -
                                                               sizeof(adamcore::detail::StepRoom<rule::List<Lamb>>));
}

}  // namespace
}  // namespace adamcore::test

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

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
const std::vector<Shape> large_shapes{{1, 300, 500}, {1, 0, 70001}, {1, 3, 30011}, {1, 20011, 3}, {5, 70, 129}};

/// Rules that have passes, by index, but not those that only stand for vectors.
std::vector<std::size_t> rules_with_passes() {
    std::vector<std::size_t> found;
    for (std::size_t rule = 0; rule < rules::All::size; ++rule) {
        if (cpu::all_rules()[rule].pass_count > 0) found.push_back(rule);
    }
    return found;
}

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
        for (const Storage& storage : plain_storages)
            expect_plain_steps(rule, storage, large_shapes, 1, {1, 2, 5}, seeded());
    }
}

}  // namespace
}  // namespace adamcore::test

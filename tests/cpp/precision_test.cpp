#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "support/stored.hpp"

/// Updates of any element types, with whatever is kept of the weights and whatever becomes of the gradients, equal
/// update_plainly() bit for bit: every rule, each instruction set, any number of threads and parts.
namespace adamcore::test {
namespace {

constexpr std::uint64_t seed = 0x0123456789abcdef;

/// Treatments that leave gradients their value but for a factor take other ways than those that hold them.
Treatment scaled_by(double scale) {
    Treatment treatment;
    treatment.scale = scale;
    treatment.seed = seed;
    return treatment;
}

struct Way {
    const cpu::Kernels* kernels;
    int threads, parts;
};

std::vector<Way> every_way() {
    std::vector<Way> ways;
    for (const cpu::Kernels* kernels : every_kernels()) {
        ways.push_back({kernels, 1, 1});
        ways.push_back({kernels, 3, 5});
    }
    return ways;
}

void dispatch_by(const Way& way, const cpu::Group& group, const std::vector<Tensor>& tensors,
                 const Treatment& treatment) {
    dispatch_in_parts(*way.kernels, {group}, tensors, way.parts, cpu::Threads{way.threads}, treatment);
}

std::string text_of(const Way& way) {
    return std::string(name_of(way.kernels->isa)) + ", " + std::to_string(way.threads) + " threads";
}

class EveryRule : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Precision, EveryRule, testing::ValuesIn(test::rules_to_test()),
                         [](const auto& rule) { return std::string(cpu::all_rules()[rule.param].name); });

/// Several steps from `before` as engines take them, against the plain ones, compared by `same(tensor, expected)`.
template <class Same>
void expect_plain_steps(const cpu::Group& group, const StoredTensor& before, const Treatment& treatment, Same&& same) {
    auto expected = before;
    for (std::int64_t step = 1; step <= StoredTensor::steps; ++step)
        update_plainly({group}, {expected.view(step)}, treatment);
    ASSERT_FALSE(expected == before);
    for (const Way& way : every_way()) {
        auto actual = before;
        for (std::int64_t step = 1; step <= StoredTensor::steps; ++step)
            dispatch_by(way, group, {actual.view(step)}, treatment);
        ASSERT_TRUE(same(actual, expected)) << text_of(way) << ", size " << before.size();
    }
}

TEST_P(EveryRule, EqualsThePlainLoopForEveryStorage) {
    bool decays = false;
    for (const Storage& storage : every_storage()) {
        for (const std::int64_t size : {1, 63, 255, 256, 257, 1000, 5000}) {
            decays = !decays;
            const StoredTensor before(storage, cpu::all_rules()[GetParam()], size, 7);
            const auto group = distinct_group(GetParam(), decays, decays ? 1.0 : 1.0 / 3);
            ASSERT_NO_FATAL_FAILURE(expect_plain_steps(group, before, scaled_by(decays ? -1.0 : 0.7),
                                                       [](auto& actual, auto& expected) { return actual == expected; }))
                << text_of(storage);
        }
    }
}

/// NaNs, infinities, zeros, subnormals and extremes strewn over each array.
void strew_special_values(StoredTensor& tensor) {
    using Limits = std::numeric_limits<double>;
    const double special[] = {Limits::quiet_NaN(),
                              Limits::infinity(),
                              -Limits::infinity(),
                              0.0,
                              -0.0,
                              0x1p-24,
                              -0x1p-133,
                              0x1p-149,
                              65504,
                              -65519,
                              65520.25,
                              3.3e38,
                              -0x1.fffffep127,
                              Limits::max(),
                              Limits::denorm_min()};
    std::int64_t at = 3;
    for (const double value : special) {
        tensor.start(at, value);
        for (std::int64_t step = 1; step <= StoredTensor::steps; ++step)
            tensor.grad(step).set(at + 5 + 3 * step, value);
        for (Stored& array : tensor.state()) array.set(at + 20, value);
        at += 23;
    }
}

TEST_P(EveryRule, KeepsSpecialValuesInTheirElements) {
    const auto group = distinct_group(GetParam(), true, 1.0);
    for (const Storage& storage : every_storage()) {
        StoredTensor before(storage, cpu::all_rules()[GetParam()], 997, 11);
        strew_special_values(before);
        Treatment treatment = scaled_by(1.0);
        for (const double limit : {Treatment::no_limit, 0.5}) {
            treatment.limit = limit;
            ASSERT_NO_FATAL_FAILURE(expect_plain_steps(
                group, before, treatment, [](auto& actual, auto& expected) { return actual.same_numbers(expected); }))
                << text_of(storage) << ", limit " << limit;
        }
    }
}

TEST_P(EveryRule, TakesGradientsWithinTheirLimits) {
    for (const Storage& storage : every_storage()) {
        StoredTensor before(storage, cpu::all_rules()[GetParam()], 1000, 13);
        before.grad(2).set(500, std::numeric_limits<double>::infinity());
        before.grad(2).set(501, -std::numeric_limits<double>::infinity());
        Treatment treatment = scaled_by(0.7);
        for (const double limit : {0.3, 0.1, 3e-5}) {
            treatment.limit = limit;
            ASSERT_NO_FATAL_FAILURE(expect_plain_steps(distinct_group(GetParam(), true, -0.9), before, treatment,
                                                       [](auto& actual, auto& expected) { return actual == expected; }))
                << text_of(storage) << ", limit " << limit;
        }
    }
}

/// Several tensors of one storage with factors of their own and of their units.
class Model {
public:
    Model(const Storage& storage, std::size_t rule) {
        for (const std::int64_t size : {1, 700, 64, 1300})
            tensors_.emplace_back(storage, cpu::all_rules()[rule], size, static_cast<std::uint64_t>(size));
        for (int i = 0; i < 1300; ++i) unit_factors_->push_back(1.0 / (1 + i % 17) + 1e-9 * i);
    }

    std::vector<Tensor> views(std::int64_t step) {
        constexpr std::int64_t units[] = {1, 7, 64, 300};
        std::vector<Tensor> views;
        for (std::size_t i = 0; i < tensors_.size(); ++i) {
            views.push_back(tensors_[i].view(step));
            views[i].unit_size = units[i];
            views[i].unit_factors = unit_factors_->data() + i;
        }
        return views;
    }

    bool operator==(const Model& other) const { return tensors_ == other.tensors_; }

private:
    std::vector<StoredTensor> tensors_;
    std::shared_ptr<std::vector<Scale>> unit_factors_ = std::make_shared<std::vector<Scale>>();
};

std::vector<Treatment> treatments_with_factors() {
    static constexpr Scale tensor_factors[] = {0.3, 1.0, 0.01, 1.0 / 3};
    static constexpr Scale far_factors[] = {{0.3, -130}, 1.0, 0x1p-140, {0.7, -1090}};
    std::vector<Treatment> all(5, scaled_by(1.0 / 7));
    all[0].tensor_factors = tensor_factors;
    all[1].by_units = true;
    all[2] = all[1];
    all[2].tensor_factors = tensor_factors;
    all[2].limit = 0.05;
    all[3].tensor_factors = far_factors;
    all[4] = all[3];
    all[4].by_units = true;
    return all;
}

TEST_P(EveryRule, TakesFactorsOfTensorsAndUnits) {
    for (const Storage& storage : every_storage()) {
        const Model before(storage, GetParam());
        const auto group = distinct_group(GetParam(), false, 1.5);
        for (const Treatment& treatment : treatments_with_factors()) {
            auto expected = before;
            update_plainly({group}, expected.views(1), treatment);
            for (const Way& way : every_way()) {
                auto actual = before;
                dispatch_by(way, group, actual.views(1), treatment);
                ASSERT_TRUE(actual == expected) << text_of(storage) << "; " << text_of(way);
            }
        }
    }
}

/// Neighbours that share a step's constants or, where they are computed in another type, must not.
TEST_P(EveryRule, StepsTensorsOfAllStoragesInOneCall) {
    std::vector<StoredTensor> expected;
    for (const Storage& storage : every_storage())
        expected.emplace_back(storage, cpu::all_rules()[GetParam()], 100, 17);
    const auto views = [](std::vector<StoredTensor>& tensors) {
        std::vector<Tensor> all;
        for (StoredTensor& tensor : tensors) all.push_back(tensor.view(2));
        return all;
    };
    const auto before = expected;
    const auto group = distinct_group(GetParam(), true, 1.0);
    update_plainly({group}, views(expected), scaled_by(1.0));
    for (const Way& way : every_way()) {
        auto actual = before;
        dispatch_by(way, group, views(actual), scaled_by(1.0));
        ASSERT_TRUE(actual == expected) << text_of(way);
    }
}

TEST(StaticDispatch, EqualsThePlainLoopForEveryStorage) {
    for (const Storage& storage : every_storage()) {
        const StoredTensor before(storage, info_of<AdamW>(), 1000, 19);
        auto expected = before, actual = before;
        const auto hyper = distinct_hyper<AdamW>();
        Treatment treatment = scaled_by(0.7);
        treatment.limit = 0.5;
        for (std::int64_t step = 1; step <= StoredTensor::steps; ++step) {
            const Tensor view = actual.view(step);
            cpu::step<AdamW>(&view, 1, hyper, cpu::Serial{}, treatment);
            update_plainly({group_of<AdamW>(hyper, 1.0)}, {expected.view(step)}, treatment);
        }
        ASSERT_TRUE(actual == expected) << text_of(storage);
    }
}

TEST(Stochastic, RoundingDependsOnSeedStepTensorAndElement) {
    StoredTensor tensor({Dtype::bfloat16, Dtype::float32, Dtype::float32, WeightPolicy::stochastic}, info_of<Sgd>(),
                        256, 3);
    for (std::int64_t i = 0; i < 256; ++i) {
        tensor.start(i, 1.0);
        tensor.grad(1).set(i, 0x1p-9);
    }
    cpu::Group group{index_of<Sgd>(), {}, 1.0};
    group.hyper[0] = 1;
    const auto result = [&](std::uint64_t key, std::int64_t step, std::uint32_t number) {
        auto updated = tensor;
        Tensor view = updated.view(1);
        view.step = step;
        view.number = number;
        Treatment treatment;
        treatment.seed = key;
        dispatch_in_parts(cpu::best_kernels(), {group}, {view}, 1, cpu::Serial{}, treatment);
        return updated;
    };
    auto usual = result(1, 2, 3);
    EXPECT_TRUE(usual == result(1, 2, 3));
    EXPECT_FALSE(usual == result(2, 2, 3));
    EXPECT_FALSE(usual == result(std::uint64_t{1} << 32 | 1, 2, 3));
    EXPECT_FALSE(usual == result(1, 3, 3));
    EXPECT_FALSE(usual == result(1, std::int64_t{1} << 40 | 2, 3));
    EXPECT_FALSE(usual == result(1, 2, 4));
    bool elements_differ = false;
    for (std::int64_t i = 1; i < 128; ++i) elements_differ |= usual.param()[i] != usual.param()[i + 128];
    EXPECT_TRUE(elements_differ);
}

}  // namespace
}  // namespace adamcore::test

// Sums of statistics: what they are, and that all ways of observing a step give the same bits.

#include <adamcore/adamcore.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/observed.hpp"

namespace {

using namespace adamcore;
using statistics::Sums;

/// A tensor of dense arrays of T that a rule updates.
template <class T>
struct Case {
    cpu::Group group;
    std::vector<T> param, grad;
    std::vector<std::vector<T>> state;
    Tensor tensor;

    Case(const char* rule, std::int64_t size) : group(named_group(rule)) {
        std::mt19937 random(7);
        std::normal_distribution<double> normal;
        const auto draw = [&] {
            std::vector<T> values(static_cast<std::size_t>(size));
            for (T& value : values) value = static_cast<T>(normal(random));
            return values;
        };
        param = draw();
        grad = draw();
        for (std::size_t i = 0; i < grad.size(); i += 7) grad[i] = 0;
        tensor = adamcore::tensor(param.data(), grad.data(), size, 3);
        const RuleInfo& info = cpu::all_rules()[group.rule];
        state.reserve(info.slot_count);
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            state.push_back(draw());
            if (info.slots[slot].is_nonnegative()) {
                for (T& value : state.back()) value = value * value * T(1e-5);
            }
            tensor.state[slot] = state.back().data();
        }
    }

    Sums step(const cpu::Kernels& kernels, unsigned parts, bool fused) {
        return test::observed_step(kernels, group, tensor, parts, fused);
    }
};

/// The sum of terms in the shape of sums.hpp, element by element.
template <class Term>
double summed(std::int64_t size, Term&& term) {
    std::vector<double> leaves;
    for (std::int64_t at = 0; at < size; at += sums::leaf) {
        sums::LaneSums lanes;
        for (std::int64_t i = at; i < std::min(size, at + sums::leaf); ++i)
            lanes.of[(i - at) % sums::lanes] += term(static_cast<std::size_t>(i));
        leaves.push_back(sums::total(lanes));
    }
    return sums::sum_pairs(leaves.data(), static_cast<std::int64_t>(leaves.size()));
}

/// Squares and products of doubles, rounded before they are added: contraction is off.
template <class T>
Sums plain_sums(const Case<T>& before, const Case<T>& after, int first, int second) {
    const std::int64_t size = before.tensor.size;
    const auto wide = [](T x) { return static_cast<double>(x); };
    const auto square = [&](const std::vector<T>& of) {
        return summed(size, [&](auto i) { return wide(of[i]) * wide(of[i]); });
    };
    Sums found;
    found.grads = {square(before.grad), 0};
    found.weights = square(before.param);
    found.updates = summed(size, [&](auto i) {
        const double change = wide(after.param[i]) - wide(before.param[i]);
        return change * change;
    });
    if (first >= 0) {
        const auto& m = before.state[static_cast<std::size_t>(first)];
        found.products = summed(size, [&](auto i) { return wide(m[i]) * wide(before.grad[i]); });
        found.firsts = square(m);
    }
    if (second >= 0) {
        const auto& v = after.state[static_cast<std::size_t>(second)];
        found.seconds = summed(size, [&](auto i) { return wide(v[i]); });
        for (const T each : v) found.below += wide(each) < 1e-6;
    }
    for (const T g : before.grad) {
        found.largest = std::max(found.largest, std::abs(wide(g)));
        found.zeros += g == 0;
    }
    return found;
}

void expect_equal(const Sums& a, const Sums& b, const std::string& what) {
    EXPECT_EQ(a.grads.sum, b.grads.sum) << what;
    EXPECT_EQ(a.weights, b.weights) << what;
    EXPECT_EQ(a.updates, b.updates) << what;
    EXPECT_EQ(a.products, b.products) << what;
    EXPECT_EQ(a.firsts, b.firsts) << what;
    EXPECT_EQ(a.seconds, b.seconds) << what;
    EXPECT_EQ(a.largest, b.largest) << what;
    EXPECT_EQ(a.zeros, b.zeros) << what;
    EXPECT_EQ(a.below, b.below) << what;
}

template <class T>
void check(const char* rule, std::int64_t size) {
    Case<T> plain(rule, size);
    const Case<T> before(rule, size);
    const RuleInfo& info = cpu::all_rules()[plain.group.rule];
    plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(&plain.tensor, 1, 1, cuts);
    cpu::step(cpu::best_kernels(), &plain.group, &plain.tensor, cuts, parts, cpu::Serial{});
    const Sums expected = plain_sums(before, plain, info.first_moment, info.second_moment);
    for (const cpu::Isa isa : cpu::all_isas) {
        const cpu::Kernels* const kernels = cpu::kernels_for(isa);
        if (!kernels) continue;
        for (const bool fused : {false, true}) {
            Case<T> seen(rule, size);
            const Sums found = seen.step(*kernels, statistics::all_parts, fused);
            const std::string what =
                std::string(rule) + " " + cpu::name_of(isa) + (fused ? " fused " : " ") + std::to_string(size);
            expect_equal(found, expected, what);
            EXPECT_EQ(std::memcmp(seen.param.data(), plain.param.data(), seen.param.size() * sizeof(T)), 0) << what;
            for (std::size_t slot = 0; slot < seen.state.size(); ++slot)
                EXPECT_EQ(seen.state[slot], plain.state[slot]) << what;
        }
    }
}

TEST(Statistics, AreTheSameInEveryWay) {
    for (const char* rule :
         {"adam", "adamw", "adamw_amsgrad", "sgd", "sgd_momentum", "rmsprop_centered_momentum", "adagrad", "lion"}) {
        for (const std::int64_t size : {1, 31, 32, 1000, 4096, 4097, 13001}) {
            check<float>(rule, size);
            check<double>(rule, size);
        }
    }
}

/// Parts that are not wanted do not change the others.
TEST(Statistics, OfSomeParts) {
    using namespace statistics;
    const Sums all = Case<float>("adamw", 9001).step(cpu::best_kernels(), all_parts, true);
    for (const bool fused : {false, true}) {
        for (const unsigned parts :
             {unsigned{squares}, squares | weights, squares | agreement, squares | extremes | weights,
              unsigned{seconds}, unsigned{agreement}, unsigned{weights}, seconds | extremes}) {
            const Sums some = Case<float>("adamw", 9001).step(cpu::best_kernels(), parts, fused);
            if ((parts & squares) != 0) {
                EXPECT_EQ(some.grads.sum, all.grads.sum);
            }
            if ((parts & weights) != 0) {
                EXPECT_EQ(some.weights, all.weights);
            }
            if ((parts & weights) != 0) {
                EXPECT_EQ(some.updates, all.updates);
            }
            if ((parts & agreement) != 0) {
                EXPECT_EQ(some.products, all.products);
            }
            if ((parts & seconds) != 0) {
                EXPECT_EQ(some.seconds, all.seconds);
            }
            if ((parts & extremes) != 0) {
                EXPECT_EQ(some.zeros, all.zeros);
            }
        }
    }
}

TEST(Statistics, ColumnsSayWhatTheyNeed) {
    using namespace statistics;
    EXPECT_EQ(parts_of(all_columns), unsigned{all_parts});
    EXPECT_EQ(parts_of(1u << grad_max), squares | extremes);
    EXPECT_EQ(parts_of(1u << ratio), unsigned{weights});
    EXPECT_EQ(parts_of(0), 0u);
    EXPECT_EQ(cpu::depth_for(squares | weights), cpu::Depth::norms);
    EXPECT_EQ(cpu::depth_for(squares | agreement), cpu::Depth::agreement);
    EXPECT_EQ(cpu::depth_for(all_parts), cpu::Depth::all);
}

TEST(Statistics, OfNothing) {
    double columns[statistics::column_count];
    statistics::write_columns({}, {}, columns, 1);
    for (const double column : columns) EXPECT_TRUE(std::isnan(column));
}

/// A NaN is larger than every limit, but leaves the largest number that there is.
TEST(Statistics, LargestGradient) {
    for (const float odd : {std::nanf(""), INFINITY}) {
        for (const bool fused : {false, true}) {
            Case<float> seen("sgd", 100);
            seen.grad[40] = odd;
            const Sums sums = seen.step(cpu::best_kernels(), statistics::all_parts, fused);
            statistics::Facts facts;
            facts.size = 100;
            double columns[statistics::column_count];
            statistics::write_columns(sums, facts, columns, 1);
            EXPECT_EQ(std::isnan(columns[statistics::grad_max]), std::isnan(odd));
            if (std::isinf(odd)) {
                EXPECT_EQ(columns[statistics::grad_max], INFINITY);
            }
        }
    }
}

}  // namespace

#include "adamcore/passes/leaves.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "adamcore/cpu/element_passes.hpp"
#include "support/rules.hpp"

namespace adamcore::test {
namespace {

using leaf::Pass;

template <class T>
bool is_same(T a, T b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/// The floats before and after x, and their exact distance to w * y decide which of the three is nearest. w * y is exact as
/// the sum of `product` and `rest`.
float rounded_product(double w, float y) {
    const double product = w * static_cast<double>(y), rest = std::fma(w, static_cast<double>(y), -product);
    const auto x = static_cast<float>(product);
    if (!std::isfinite(x) || rest == 0) return x;
    float best = x;
    for (const float other : {std::nextafter(x, -INFINITY), std::nextafter(x, INFINITY)}) {
        // How much closer `other` is than x: exact but for `rest`, which decides only ties.
        const double middle = (static_cast<double>(x) + static_cast<double>(other)) / 2, above = product - middle;
        const bool is_above = above != 0 ? above > 0 : rest > 0;
        if (is_above == (other > x) && (above != 0 || rest != 0)) best = other;
    }
    return best;
}

TEST(Leaves, ProductsWithAnyWeightAreRoundedOnce) {
    std::mt19937_64 random(1);
    std::int64_t differ_from_two_roundings = 0;
    for (int k = 0; k < 200000; ++k) {
        // Products that are nearly halfway between two floats.
        const float x = 1.0f + static_cast<float>(random() >> 41) * 0x1p-23f;
        const double target = 1.0 + static_cast<double>(2 * (random() >> 41) + 1) * 0x1p-24;
        const double w = std::nextafter(target / static_cast<double>(x), random() % 2 == 0 ? 0.0 : 10.0);
        const float found = leaf::exact<float>(w)(x);
        ASSERT_EQ(found, rounded_product(w, x)) << w << " * " << x;
        ASSERT_EQ(leaf::exact<float>(w)(-x), -found);
        differ_from_two_roundings += found != static_cast<float>(w * static_cast<double>(x));
    }
    EXPECT_GT(differ_from_two_roundings, 100);
}

TEST(Leaves, ProductsOfAnySize) {
    const float inf = INFINITY;
    for (const double w : {0x1p-1074, 1e-300, 0x1p-149, 0.1, 1.0, 3.0, 1e30, 1e300, 0x1.fffffffffffffp1023}) {
        const auto by = leaf::exact<float>(w);
        for (const float x : {0.0f, -0.0f, 0x1p-149f, 0x1.8p-130f, 1.0f, -3.3f, 0x1.fffffep127f, inf, -inf})
            EXPECT_TRUE(is_same(by(x), static_cast<float>(w * static_cast<double>(x)))) << w << " * " << x;
        EXPECT_TRUE(std::isnan(by(NAN)));
    }
    EXPECT_TRUE(leaf::represents<float>(0x1p126));
    EXPECT_FALSE(leaf::represents<float>(1e39));
    EXPECT_FALSE(leaf::represents<float>(0.1));
    EXPECT_FALSE(leaf::represents<float>(16777217));
    EXPECT_TRUE(leaf::represents<double>(0.1));
}

template <class T>
std::vector<T> numbers(std::int64_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<T> normal;
    std::vector<T> found(static_cast<std::size_t>(count));
    for (T& x : found) x = normal(random);
    found[0] = T(-0.0);
    return found;
}

template <class T>
void add(const cpu::Kernels& kernels, leaf::Pass pass, std::vector<T>& sum, const std::vector<T>& grad,
         leaf::Weights weights = {}) {
    const Tensor one = tensor(sum.data(), grad.data(), static_cast<std::int64_t>(sum.size()), 1);
    cpu::add_leaf(kernels, pass, weights, &one, 1, cpu::Serial{});
}

template <class T>
void test_sums(const cpu::Kernels& kernels) {
    constexpr double kept = 1 / 3.0, weight = 0.7;
    for (const std::int64_t count : {1, 15, 64, 1000}) {
        const std::vector<T> a = numbers<T>(count, 1), b = numbers<T>(count, 2);
        std::vector<T> sum(a.size(), T(NAN));  // what a first leaf finds does not matter
        add(kernels, Pass::take, sum, a);
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(is_same(sum[i], a[i]));
        add(kernels, Pass::add, sum, b, {3, 5});
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(is_same(sum[i], T(3) * a[i] + T(5) * b[i]));
        add(kernels, Pass::take, sum, a);
        add(kernels, Pass::add_exactly, sum, b, {kept, weight});
        const auto first = leaf::exact<T>(kept), second = leaf::exact<T>(weight);
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(is_same(sum[i], first(a[i]) + second(b[i])));
        add(kernels, Pass::take, sum, a);
        add(kernels, Pass::weigh, sum, b, {kept});
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(is_same(sum[i], first(a[i])));
    }
}

TEST(Leaves, SumsAreThoseOfTheDefinition) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        test_sums<float>(*kernels);
        test_sums<double>(*kernels);
    }
}

/// Weights that float represents give the same bits either way.
TEST(Leaves, ExactIsAsPlainWhereItMay) {
    const cpu::Kernels& kernels = cpu::best_kernels();
    const std::vector<float> a = numbers<float>(1000, 3), b = numbers<float>(1000, 4);
    for (const double weight : {1.0, 3.0, 16777216.0, 0x1p-140, 0.125}) {
        std::vector<float> plain = a, exact = a;
        add(kernels, Pass::add, plain, b, {1, weight});
        add(kernels, Pass::add_exactly, exact, b, {1, weight});
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(is_same(plain[i], exact[i])) << weight;
    }
}

}  // namespace
}  // namespace adamcore::test

#include "adamcore/storage/formats.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "support/halves.hpp"
#include "support/tiles.hpp"

/// Half precision by its definition: decoding is exact, encoding rounds to nearest even, scalar functions and every
/// instruction set alike. And what is kept beside half-precision weights gives them back.
namespace adamcore::test {
namespace {

using storage::bits_of;
using storage::float_of;

template <class Half>
class Storage : public testing::Test {};
using Halves = testing::Types<bfloat16, float16>;
TYPED_TEST_SUITE(Storage, Halves, TypeNumber);

template <class Half>
std::vector<Half> every_pattern() {
    std::vector<Half> all(half_patterns);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
    return all;
}

std::uint32_t decoded_nan(bfloat16 x) { return static_cast<std::uint32_t>(x.bits) << 16; }
std::uint32_t decoded_nan(float16 x) {
    return (x.bits & 0x8000u) << 16 | 0x7fc00000u | static_cast<std::uint32_t>(x.bits & 0x3ff) << 13;
}

template <class Half>
std::uint32_t decoded_bits(Half x) {
    if (is_nan<Half>(x.bits)) return decoded_nan(x);
    if ((x.bits & 0x7fff) == infinity_bits<Half>) return (x.bits & 0x8000u) << 16 | 0x7f800000u;
    return float_pattern(value_of<Half>(x.bits));
}

template <class Half>
void expect_decoded(Half x, float decoded) {
    ASSERT_EQ(bits_of(decoded), decoded_bits(x)) << "of pattern " << x.bits;
}
template <class Half>
void expect_decoded(Half x, double decoded) {
    ASSERT_EQ(std::isnan(decoded), is_nan<Half>(x.bits)) << "of pattern " << x.bits;
    ASSERT_EQ(std::signbit(decoded), x.bits >= half_sign);
    ASSERT_TRUE(std::isnan(decoded) || decoded == float_of(decoded_bits(x))) << "of pattern " << x.bits;
}

TYPED_TEST(Storage, DecodesEveryPatternExactly) {
    for (const auto x : every_pattern<TypeParam>()) ASSERT_NO_FATAL_FAILURE(expect_decoded(x, storage::decode(x)));
}

template <class Half, class T>
void expect_exact_decoding_by(const cpu::Kernels& kernels) {
    const auto patterns = every_pattern<Half>();
    for (const std::int64_t width : window_widths) {
        std::vector<T> decoded(patterns.size());
        convert_in_windows<T>(kernels, patterns.data(), decoded.data(), half_patterns, width);
        for (std::size_t i = 0; i < patterns.size(); ++i)
            ASSERT_NO_FATAL_FAILURE(expect_decoded(patterns[i], decoded[i]))
                << name_of(kernels.isa) << ", " << width << " at a time";
    }
}

TYPED_TEST(Storage, EveryInstructionSetDecodesEveryPatternExactly) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        ASSERT_NO_FATAL_FAILURE((expect_exact_decoding_by<TypeParam, float>(*kernels)));
        ASSERT_NO_FATAL_FAILURE((expect_exact_decoding_by<TypeParam, double>(*kernels)));
    }
}

TYPED_TEST(Storage, OfStridedElementsDecodesExactlyToo) {
    const auto patterns = every_pattern<TypeParam>();
    const std::int64_t shape = half_patterns, stride = -2, item = 4;
    const Layout layout{{1, &shape, &item}, {1, &shape, &stride}};
    for (const cpu::Kernels* kernels : every_kernels()) {
        std::vector<float> decoded(patterns.size());
        Tensor view = tensor(decoded.data(), &patterns.back(), half_patterns, 1);
        view.layout = &layout;
        assign<float>(*kernels, view, 0, half_patterns);
        for (std::size_t i = 0; i < patterns.size(); ++i)
            ASSERT_NO_FATAL_FAILURE(expect_decoded(patterns[patterns.size() - 1 - i], decoded[i]));
    }
}

/// Each piece's ends with their neighbours on both sides, every number that Half has, and random ones; of both signs.
template <class Half>
std::vector<float> telling_floats(const Rounding<Half>& rounding) {
    std::vector<std::uint32_t> patterns;
    for (const auto& piece : rounding.pieces()) {
        for (const std::uint32_t before : {2u, 1u, 0u})
            patterns.push_back(piece.first - math::min(before, piece.first));
        patterns.push_back(piece.first + 1);
        patterns.push_back(piece.half < infinity_bits<Half> ? float_pattern(value_of<Half>(piece.half)) : 0x7fffffffu);
    }
    std::mt19937 random(23);
    for (int i = 0; i < 300000; ++i) patterns.push_back(static_cast<std::uint32_t>(random()) & 0x7fffffffu);
    std::vector<float> floats;
    for (const std::uint32_t pattern : patterns) {
        floats.push_back(float_of(pattern));
        floats.push_back(float_of(pattern | 0x80000000u));
    }
    return floats;
}

TYPED_TEST(Storage, RoundsToNearestEven) {
    const Rounding<TypeParam> rounding;
    for (const float x : telling_floats(rounding))
        ASSERT_EQ(storage::encode<TypeParam>(x).bits, rounding(bits_of(x))) << std::hexfloat << x;
}

TYPED_TEST(Storage, EveryInstructionSetRoundsToNearestEven) {
    const Rounding<TypeParam> rounding;
    const auto floats = telling_floats(rounding);
    const auto size = static_cast<std::int64_t>(floats.size());
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (const std::int64_t width : window_widths) {
            std::vector<TypeParam> encoded(floats.size());
            convert_in_windows<float>(*kernels, floats.data(), encoded.data(), size, width);
            for (std::size_t i = 0; i < floats.size(); ++i)
                ASSERT_EQ(encoded[i].bits, rounding(bits_of(floats[i])))
                    << std::hexfloat << floats[i] << " by " << name_of(kernels->isa) << ", " << width << " at a time";
        }
    }
}

/// All 2^32 of them; where that would take minutes, a block of every 256.
TYPED_TEST(Storage, RoundsEveryFloatToNearestEven) {
    constexpr std::uint32_t block = 1 << 14;
    constexpr std::uint64_t step = slow_build ? 256 * block : block;
    const Rounding<TypeParam> rounding;
    std::vector<float> floats(block);
    std::vector<std::uint16_t> encoded(block), expected(block);
    for (std::uint64_t first = 0; first < std::uint64_t{1} << 32; first += step) {
        for (std::uint32_t i = 0; i < block; ++i) floats[i] = float_of(static_cast<std::uint32_t>(first) + i);
        rounding.fill(static_cast<std::uint32_t>(first), expected);
        auto* out = reinterpret_cast<TypeParam*>(encoded.data());
        assign<float>(cpu::best_kernels(), tensor(out, floats.data(), block, 1), 0, block);
        if (std::memcmp(encoded.data(), expected.data(), block * sizeof expected[0]) == 0) continue;
        for (std::uint32_t i = 0; i < block; ++i) ASSERT_EQ(encoded[i], expected[i]) << "of pattern " << first + i;
    }
}

/// Every bfloat16 pattern with lower halves of all kinds, half a unit among them: of all ties.
std::vector<float> weights_with_remainders() {
    std::vector<std::uint32_t> lower{0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0x8002, 0xfffe, 0xffff};
    std::mt19937 random(29);
    for (int i = 0; i < 22; ++i) lower.push_back(static_cast<std::uint32_t>(random()) & 0xffffu);
    std::vector<float> weights;
    for (std::uint32_t upper = 0; upper < half_patterns; ++upper) {
        for (const std::uint32_t rest : lower) weights.push_back(float_of(upper << 16 | rest));
    }
    return weights;
}

void expect_kept(float weight, float recovered) {
    if (std::isnan(weight)) {
        ASSERT_TRUE(std::isnan(recovered)) << "of pattern " << bits_of(weight);
    } else {
        ASSERT_EQ(bits_of(recovered), bits_of(weight));
    }
}

TEST(Remainder, OfEveryBfloat16GivesTheWeightBack) {
    for (const float weight : weights_with_remainders()) {
        const float stored = storage::rounded<bfloat16>(weight);
        const float near = storage::with_remainder(stored, storage::remainder_of(weight));
        const float recovered = storage::is_tie_rounded_down(weight) ? storage::as_tie(near) : near;
        ASSERT_NO_FATAL_FAILURE(expect_kept(weight, recovered));
    }
}

TEST(Remainder, TellsTiesThatAreRoundedDown) {
    for (std::uint32_t upper = 0; upper < half_patterns; ++upper) {
        if ((upper & 0x7fffu) >= infinity_bits<bfloat16>) continue;
        const float tie = float_of(upper << 16 | 0x8000u);
        EXPECT_EQ(storage::is_tie_rounded_down(tie), bits_of(storage::rounded<bfloat16>(tie)) == upper << 16);
        for (const std::uint32_t other : {0u, 1u, 0x7fffu, 0x8001u, 0xffffu})
            ASSERT_FALSE(storage::is_tie_rounded_down(float_of(upper << 16 | other)));
    }
}

TEST(Remainder, GivesTheWeightBackByEveryInstructionSet) {
    const auto weights = weights_with_remainders();
    const auto size = static_cast<std::int64_t>(weights.size()) - 3;
    for (const cpu::Kernels* kernels : every_kernels()) {
        std::vector<bfloat16> param(weights.size());
        std::vector<std::uint16_t> remainders(weights.size());
        std::vector<std::uint8_t> ties(weights.size() / 8, 0xff);
        std::vector<float> recovered(weights.size());
        Tensor view = tensor(param.data(), weights.data(), size, 1, recovered.data());
        view.weights = WeightPolicy::remainder;
        view.extra[0] = remainders.data();
        view.extra[1] = ties.data();
        assign<float>(*kernels, view, 0, size);
        kernels->tiles[0]({show_weight<float>, 0}, nullptr, view, 0, size, 1, 1, Treatment{});
        for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
            ASSERT_EQ(param[i].bits, storage::encode<bfloat16>(weights[i]).bits) << name_of(kernels->isa);
            ASSERT_NO_FATAL_FAILURE(expect_kept(weights[i], recovered[i])) << name_of(kernels->isa);
        }
    }
}

TYPED_TEST(Storage, AMasterHoldsWhileTheParameterIsWhatItRoundsTo) {
    std::mt19937 random(31);
    for (int i = 0; i < 100000; ++i) {
        const float master = float_of(static_cast<std::uint32_t>(random()));
        const TypeParam kept = storage::encode<TypeParam>(master);
        const TypeParam other{static_cast<std::uint16_t>(kept.bits ^ (1u << random() % 16))};
        const auto current = [&](TypeParam stored) {
            return storage::current_master(storage::decode(stored), storage::rounded<TypeParam>(master), master);
        };
        ASSERT_EQ(bits_of(current(kept)), bits_of(master));
        if (is_nan<TypeParam>(kept.bits)) continue;
        ASSERT_EQ(bits_of(current(other)), bits_of(storage::decode(other)));
    }
}

TEST(CurrentMaster, OfAnotherZeroIsThatZero) {
    EXPECT_TRUE(std::signbit(storage::current_master(-0.0f, 0.0f, 1e-30f)));
    EXPECT_FALSE(std::signbit(storage::current_master(0.0f, -0.0f, -1e-30f)));
    EXPECT_EQ(storage::current_master(0.0f, 0.0f, 1e-30f), 1e-30f);
}

TEST(FiniteOrZero, LeavesFiniteNumbersAlone) {
    using Limits = std::numeric_limits<float>;
    for (const float x :
         {0.0f, -0.0f, 1.5f, -3e-3f, Limits::denorm_min(), Limits::min(), Limits::max(), -Limits::max()})
        EXPECT_EQ(bits_of(storage::finite_or_zero(x)), bits_of(x));
    for (const float x : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()})
        EXPECT_EQ(bits_of(storage::finite_or_zero(x)), 0u);
}

}  // namespace
}  // namespace adamcore::test

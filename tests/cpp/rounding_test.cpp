#include "adamcore/storage/rounding.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "adamcore/cpu/convert.hpp"
#include "support/halves.hpp"
#include "support/plain_update.hpp"
#include "support/tiles.hpp"

/// Stochastic rounding: the generator's known answers, and each neighbour exactly as often as the mean asks for.
namespace adamcore::test {
namespace {

using storage::bits_of;
using storage::float_of;
using Words = std::array<std::uint32_t, 4>;

Words philox(std::uint32_t key0, std::uint32_t key1, const Words& counter) {
    std::uint32_t words[4];
    std::copy(counter.begin(), counter.end(), words);
    rounding::philox(key0, key1, words);
    return {words[0], words[1], words[2], words[3]};
}

/// Random123's kat_vectors, "philox4x32 7".
TEST(Philox, GivesItsAuthorsKnownAnswers) {
    constexpr std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox(0, 0, {}), (Words{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}));
    EXPECT_EQ(philox(ones, ones, {ones, ones, ones, ones}), (Words{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}));
    EXPECT_EQ(philox(0xa4093822, 0x299f31d0, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
              (Words{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}));
}

constexpr std::int64_t counters_overflow = (std::int64_t{1} << 32) / rounding::row;

const rounding::Stream streams[] = {
    {0, 0, 0},
    {1, 1, 1},
    {0x0123456789abcdef, 0xfedcba987654, 0xdeadbeef},
    {~std::uint64_t{0}, (std::uint64_t{1} << 48) - 1, ~std::uint32_t{0}},
};

TEST(RandomWords, AreCountedByLaneBlockTensorAndStep) {
    for (const auto& stream : streams) {
        for (const std::int64_t index : {std::int64_t{0}, std::int64_t{5}, counters_overflow + 3}) {
            for (const std::uint32_t lane : {0u, 1u, 15u}) {
                const std::uint64_t counter = static_cast<std::uint64_t>(index) * 16 + lane;
                const auto high = static_cast<std::uint32_t>(counter >> 32 | stream.step >> 32 << 16);
                std::uint32_t words[4];
                rounding::random_words(stream, index, lane, words);
                EXPECT_EQ((Words{words[0], words[1], words[2], words[3]}),
                          philox(static_cast<std::uint32_t>(stream.seed), static_cast<std::uint32_t>(stream.seed >> 32),
                                 {static_cast<std::uint32_t>(counter), stream.tensor,
                                  static_cast<std::uint32_t>(stream.step), high}));
            }
        }
    }
}

TEST(RandomBlock, HoldsTheWordsOfItsCounters) {
    for (const auto& stream : streams) {
        for (const std::int64_t near : {std::int64_t{2}, counters_overflow, counters_overflow << 15}) {
            for (std::int64_t index = near - 2; index < near + 2; ++index) {
                std::uint32_t block[4][rounding::row];
                cpu::convert::random_block(stream, index, block);
                for (std::uint32_t lane = 0; lane < rounding::row; ++lane) {
                    std::uint32_t words[4];
                    rounding::random_words(stream, index, lane, words);
                    for (int word = 0; word < 4; ++word) ASSERT_EQ(block[word][lane], words[word]) << "block " << index;
                }
            }
        }
    }
}

template <class Half>
class Stochastic : public testing::Test {};
using Halves = testing::Types<bfloat16, float16>;
TYPED_TEST_SUITE(Stochastic, Halves, TypeNumber);

constexpr std::uint32_t random_numbers = 1 << 16;

template <class Half>
float half_number(std::uint16_t bits) {
    return static_cast<float>(value_of<Half>(bits));
}

TYPED_TEST(Stochastic, KeepsNumbersThatItCanStore) {
    for (std::uint16_t half = 0; half < infinity_bits<TypeParam>; ++half) {
        const float number = half_number<TypeParam>(half);
        const std::uint32_t step = half % 512 == 0 ? 1 : 257;
        for (std::uint32_t random = 0; random < random_numbers; random += step) {
            ASSERT_EQ(bits_of(rounding::stochastic<TypeParam>(number, random)), bits_of(number));
            ASSERT_EQ(bits_of(rounding::stochastic<TypeParam>(-number, random)), bits_of(-number));
        }
        ASSERT_EQ(bits_of(rounding::stochastic<TypeParam>(number, 0xffff)), bits_of(number));
    }
}

/// How many of all random numbers round `weight` up in magnitude, to `above`; the others round it to `below`.
template <class Half>
int count_up(float weight, float below, float above) {
    int up = 0;
    for (std::uint32_t random = 0; random < random_numbers; ++random) {
        const float rounded = rounding::stochastic<Half>(weight, random);
        EXPECT_TRUE(rounded == below || rounded == above) << std::hexfloat << weight << " to " << rounded;
        EXPECT_EQ(bits_of(rounding::stochastic<Half>(-weight, random)), bits_of(-rounded));
        up += rounded == above;
    }
    return up;
}

/// Of float16's subnormal numbers the fraction is told to 2^-16; bfloat16's have the spacing of the normal ones.
template <class Half>
constexpr bool is_counted_exactly(std::uint16_t half) {
    return dtype_of<Half> == Dtype::bfloat16 || half >= 1 << Format<float16>::mantissa_bits;
}

/// Numbers with a finite one above them: of all magnitudes, and next to zero, to the normal numbers and to infinity.
template <class Half>
std::vector<std::uint16_t> telling_halves() {
    constexpr std::uint16_t normal = 1 << Format<Half>::mantissa_bits, infinity = infinity_bits<Half>;
    std::vector<std::uint16_t> halves{0, 1, normal - 2, normal - 1, normal, infinity - 3, infinity - 2};
    for (std::uint16_t half = 2; half < infinity - 2; half = static_cast<std::uint16_t>(half + 251))
        halves.push_back(half);
    return halves;
}

TYPED_TEST(Stochastic, RoundsUpAsOftenAsTheMeanAsksFor) {
    std::mt19937 random(37);
    constexpr int fractions = slow_build ? 1 : 8;
    for (const std::uint16_t half : telling_halves<TypeParam>()) {
        const double below = value_of<TypeParam>(half),
                     above = value_of<TypeParam>(static_cast<std::uint16_t>(half + 1));
        const std::uint32_t first = float_pattern(below), last = float_pattern(above);
        for (int i = 0; i < fractions; ++i) {
            const float weight = float_of(first + 1 + static_cast<std::uint32_t>(random()) % (last - first - 1));
            const double exact = (weight - below) / (above - below) * random_numbers;
            const int up = count_up<TypeParam>(weight, static_cast<float>(below), static_cast<float>(above));
            if (is_counted_exactly<TypeParam>(half)) {
                ASSERT_EQ(up, exact) << std::hexfloat << weight;
            } else {
                ASSERT_LT(std::fabs(up - exact), 1) << std::hexfloat << weight;
            }
        }
    }
}

/// Near the largest number there is nothing above it but infinity, which nearest rounds to from half a unit on.
TYPED_TEST(Stochastic, StaysFiniteAsLongAsNearestDoes) {
    constexpr std::uint16_t largest = infinity_bits<TypeParam> - 1;
    const float most = half_number<TypeParam>(largest);
    const std::uint32_t unit = bits_of(most) - bits_of(half_number<TypeParam>(largest - 1));
    for (const std::uint32_t random : {0u, 1u, 0x7fffu, 0x8000u, 0xfffeu, 0xffffu}) {
        for (const std::uint32_t beyond : {0u, 1u, unit / 4, unit / 2 - 1}) {
            const float weight = float_of(bits_of(most) + beyond);
            ASSERT_EQ(rounding::stochastic<TypeParam>(weight, random), most) << std::hexfloat << weight;
            ASSERT_EQ(rounding::stochastic<TypeParam>(-weight, random), -most);
        }
        for (const std::uint32_t beyond : {unit / 2, unit / 2 + 1, unit}) {
            const float weight = float_of(math::min(bits_of(most) + beyond, 0x7f800000u));
            const float infinity = std::numeric_limits<float>::infinity();
            ASSERT_EQ(rounding::stochastic<TypeParam>(weight, random), infinity) << std::hexfloat << weight;
            ASSERT_EQ(rounding::stochastic<TypeParam>(-weight, random), -infinity);
            const auto stored = storage::encode_exact<TypeParam>(rounding::stochastic<TypeParam>(weight, random));
            ASSERT_EQ(stored.bits, infinity_bits<TypeParam>);
        }
    }
}

TYPED_TEST(Stochastic, KeepsInfinityAndNan) {
    using Limits = std::numeric_limits<float>;
    for (std::uint32_t random = 0; random < random_numbers; random += 5) {
        EXPECT_EQ(rounding::stochastic<TypeParam>(Limits::infinity(), random), Limits::infinity());
        EXPECT_EQ(rounding::stochastic<TypeParam>(-Limits::infinity(), random), -Limits::infinity());
        for (const std::uint32_t nan : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xffffffffu, 0xff800001u})
            EXPECT_TRUE(std::isnan(rounding::stochastic<TypeParam>(float_of(nan), random)));
    }
}

/// Weights of all magnitudes, special ones too, a third of them within float16's range.
std::vector<float> weights_of_all_magnitudes(std::size_t count) {
    std::mt19937 random(41);
    std::vector<float> weights(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto pattern = static_cast<std::uint32_t>(random());
        const float one_to_two = float_of((pattern & 0x807fffffu) | 0x3f800000u);
        weights[i] = i % 3 == 0 ? std::ldexp(one_to_two, static_cast<int>(i % 42) - 26) : float_of(pattern);
    }
    return weights;
}

/// Elements [begin, end) are rounded by the numbers that are theirs, the others left alone. Element 0 may be at `first`
/// of a larger array, of which the memory before it is not there.
template <class Half>
void expect_rounded_by_their_numbers(const cpu::Kernels& kernels, std::int64_t first, std::int64_t begin,
                                     std::int64_t end) {
    constexpr std::int64_t size = 1200;
    constexpr Half untouched{0x1234};
    const auto weights = weights_of_all_magnitudes(size);
    std::vector<Half> param(size, untouched);
    const auto before = [first](auto* array) {
        return reinterpret_cast<decltype(array)>(reinterpret_cast<std::uintptr_t>(array) -
                                                 static_cast<std::uintptr_t>(first) * sizeof *array);
    };
    const rounding::Stream& stream = streams[2];
    Tensor view =
        tensor(before(param.data()), before(weights.data()), first + size, static_cast<std::int64_t>(stream.step));
    view.weights = WeightPolicy::stochastic;
    view.number = stream.tensor;
    Treatment treatment;
    treatment.seed = stream.seed;
    assign<float>(kernels, view, first + begin, first + end, treatment);
    for (std::int64_t i = 0; i < size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const float rounded = rounding::stochastic<Half>(weights[at], random_of(stream, first + i));
        const Half expected = i >= begin && i < end ? storage::encode<Half>(rounded) : untouched;
        ASSERT_EQ(param[at].bits, expected.bits)
            << name_of(kernels.isa) << ", element " << first + i << " in [" << begin << ", " << end << ")";
    }
}

TYPED_TEST(Stochastic, EveryInstructionSetRoundsElementsByTheirNumbers) {
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (std::int64_t begin = 0; begin <= 512; begin += 64) {
            for (const std::int64_t count : {1, 8, 63, 64, 65, 127, 128, 129, 191, 192, 256, 257, 500, 600})
                ASSERT_NO_FATAL_FAILURE(expect_rounded_by_their_numbers<TypeParam>(*kernels, 0, begin, begin + count));
        }
    }
}

TYPED_TEST(Stochastic, ElementsOfHugeTensorsHaveTheirOwnNumbersToo) {
    constexpr std::int64_t elements_overflow = counters_overflow * rounding::block;
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (const std::int64_t first : {elements_overflow - 640, elements_overflow - 64, 3 * elements_overflow})
            ASSERT_NO_FATAL_FAILURE(expect_rounded_by_their_numbers<TypeParam>(*kernels, first, 0, 1111));
    }
}

}  // namespace
}  // namespace adamcore::test

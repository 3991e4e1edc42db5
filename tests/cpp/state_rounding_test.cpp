#include "adamcore/storage/state_rounding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/halves.hpp"
#include "support/plain_update.hpp"
#include "support/tiles.hpp"

/// How half-precision state is rounded: each neighbour exactly as often as the mean asks for, by numbers that are each
/// element's own, the same from every instruction set.
namespace adamcore::test {
namespace {

using storage::bits_of;
using storage::float_of;

template <class Half>
class StateRounded : public testing::Test {};
using Halves = testing::Types<bfloat16, float16>;
TYPED_TEST_SUITE(StateRounded, Halves, TypeNumber);

const rounding::Stream streams[] = {
    {0, 0, 0},
    {0x0123456789abcdef, 0xfedcba987654, 0xdeadbeef},
    {~std::uint64_t{0}, (std::uint64_t{1} << 48) - 1, ~std::uint32_t{0}},
};

/// A counter of Philox for each block, which none for weights is: bit 47 is set, and a tensor has fewer elements.
TEST(StateKeys, AreWordsOfACounterForEachBlock) {
    for (const auto& stream : streams) {
        for (const std::int64_t block : {std::int64_t{0}, std::int64_t{1}, std::int64_t{77}, std::int64_t{1} << 34}) {
            std::uint32_t words[4] = {static_cast<std::uint32_t>(block), stream.tensor,
                                      static_cast<std::uint32_t>(stream.step),
                                      static_cast<std::uint32_t>(block >> 32) | 0x8000u |
                                          static_cast<std::uint32_t>(stream.step >> 32 << 16)};
            rounding::philox(static_cast<std::uint32_t>(stream.seed), static_cast<std::uint32_t>(stream.seed >> 32),
                             words);
            for (const std::int64_t within : {0, 1, 255}) {
                std::uint32_t keys[4];
                state::keys_of(stream, 256 * block + within, 0, keys);
                for (int slot = 0; slot < 4; ++slot) ASSERT_EQ(keys[slot], words[slot]) << "block " << block;
            }
        }
    }
}

TEST(StateNumbers, AddAMultipleOfTheGoldenRatio) {
    for (const std::uint64_t element :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{1} << 33}) {
        const std::uint64_t expected = (0x89abcdefu + element * 0x9E3779B1u) % (std::uint64_t{1} << 32);
        EXPECT_EQ(state::number_of(0x89abcdefu, static_cast<std::int64_t>(element)), expected);
    }
}

constexpr std::uint32_t numbers[] = {0, 1, 0xff, 0x10000, 0x7fffffff, 0x80000000, 0x9E3779B1, 0xffff0000, 0xffffffff};

TYPED_TEST(StateRounded, KeepsWhatItCanStore) {
    for (int bits = 0; bits < half_patterns; ++bits) {
        const TypeParam half{static_cast<std::uint16_t>(bits)};
        const float number = storage::decode(half);
        const TypeParam expected = is_nan<TypeParam>(half.bits) ? storage::encode<TypeParam>(number) : half;
        for (const std::uint32_t random : numbers)
            ASSERT_EQ(state::stochastic<TypeParam>(number, random).bits, expected.bits) << bits;
    }
}

/// How many of all 2^32 numbers round `x` up in magnitude: those from some number on, which a search finds.
template <class Half>
std::uint64_t count_up(float x, std::uint16_t below) {
    const auto goes_up = [&](std::uint64_t random) {
        const std::uint16_t rounded = state::stochastic<Half>(x, static_cast<std::uint32_t>(random)).bits;
        EXPECT_TRUE(rounded == below || rounded == below + 1) << std::hexfloat << x << " to " << rounded;
        EXPECT_EQ(state::stochastic<Half>(-x, static_cast<std::uint32_t>(random)).bits, rounded | half_sign);
        return rounded != below;
    };
    constexpr std::uint64_t all = std::uint64_t{1} << 32;
    std::uint64_t down = 0, up = all;  // numbers below the one do not, from the other on they do
    while (down < up) {
        const std::uint64_t middle = (down + up) / 2;
        goes_up(middle) ? void(up = middle) : void(down = middle + 1);
    }
    std::mt19937 random(43);
    for (int i = 0; i < 100; ++i) {
        const std::uint32_t number = static_cast<std::uint32_t>(random());
        EXPECT_EQ(goes_up(number), number >= up);
    }
    return all - up;
}

TYPED_TEST(StateRounded, GoesUpAsOftenAsTheMeanAsksFor) {
    constexpr std::uint16_t normal = 1 << Format<TypeParam>::mantissa_bits, infinity = infinity_bits<TypeParam>;
    std::vector<std::uint16_t> halves{0,           1, 2, 3, normal - 2, normal - 1, normal, normal + 1, infinity - 3,
                                      infinity - 2};
    for (std::uint16_t half = 2; half < infinity - 2; half = static_cast<std::uint16_t>(half + 51))
        halves.push_back(half);
    std::mt19937 random(47);
    for (const std::uint16_t half : halves) {
        const double below = value_of<TypeParam>(half);
        const double unit = value_of<TypeParam>(static_cast<std::uint16_t>(half + 1)) - below;
        const std::uint32_t first = float_pattern(below), last = float_pattern(below + unit);
        std::vector<std::uint32_t> between{first + 1, last - 1, float_pattern(below + unit / 2)};
        for (int i = 0; i < 20; ++i)
            between.push_back(first + 1 + static_cast<std::uint32_t>(random()) % (last - first - 1));
        for (const std::uint32_t pattern : between) {
            const float x = float_of(pattern);
            const double exact = (x - below) / unit * 0x1p32;
            const auto up = static_cast<double>(count_up<TypeParam>(x, half));
            if (dtype_of<TypeParam> == Dtype::bfloat16 || x >= 0x1p-25f) {
                ASSERT_EQ(up, exact) << std::hexfloat << x;
            } else {
                ASSERT_TRUE(up <= exact && exact < up + 256) << std::hexfloat << x;  // 2^-48
            }
        }
    }
}

TYPED_TEST(StateRounded, RoundsToNearestBeyondTheLargestNumber) {
    const std::uint32_t most = float_pattern(value_of<TypeParam>(infinity_bits<TypeParam> - 1));
    const std::uint32_t infinity = 0x7f800000u, unit = dtype_of<TypeParam> == Dtype::bfloat16 ? 1u << 16 : 1u << 13;
    for (const std::uint32_t pattern : {most + 1, most + unit / 2 - 1, most + unit / 2, most + unit, infinity - 1,
                                        infinity, infinity + 1, 0x7fc00000u, 0x7fffffffu}) {
        for (const std::uint32_t sign : {0u, 0x80000000u}) {
            const float x = float_of(pattern | sign);
            for (const std::uint32_t random : numbers)
                ASSERT_EQ(state::stochastic<TypeParam>(x, random).bits, storage::encode<TypeParam>(x).bits) << pattern;
        }
    }
}

TYPED_TEST(StateRounded, SquaresDoNotBecomeZero) {
    const double smallest = value_of<TypeParam>(1);
    for (const bool at_random : {false, true}) {
        for (const std::uint32_t random : numbers) {
            const auto stored = [&](double x) {
                return state::encode<TypeParam>(static_cast<float>(x), true, at_random, random).bits;
            };
            EXPECT_EQ(stored(0), 0);
            EXPECT_EQ(stored(-0.0), half_sign);
            for (const double x : {0x1p-149, smallest / 1024, smallest / 2, smallest * 0.75, smallest})
                EXPECT_EQ(stored(x), 1) << std::hexfloat << x;
            EXPECT_EQ(stored(2 * smallest), 2);
            EXPECT_EQ(storage::decode(TypeParam{stored(1.5)}), 1.5f);
        }
        EXPECT_EQ(state::encode<TypeParam>(static_cast<float>(smallest / 4), false, at_random, 0).bits, 0);
    }
}

/// Nearest is what it was, but for that.
TYPED_TEST(StateRounded, NearestIsTheEncoding) {
    std::mt19937 random(53);
    for (int i = 0; i < 200000; ++i) {
        const float x = float_of(static_cast<std::uint32_t>(random()));
        const std::uint16_t encoded = storage::encode<TypeParam>(x).bits;
        ASSERT_EQ(state::encode<TypeParam>(x, false, false, 1).bits, encoded);
        ASSERT_EQ(state::encode<TypeParam>(x, true, false, 1).bits, encoded == 0 && x != 0 ? 1 : encoded);
    }
}

/// State becomes the gradient, in every slot.
void take_gradient_as_state(const void*, double, std::int64_t count, std::int64_t, void*, const void* grad,
                            void* const* state) noexcept {
    for (std::size_t slot = 0; slot < max_slots; ++slot)
        std::memcpy(state[slot], grad, static_cast<std::size_t>(count) * sizeof(float));
}

/// Numbers of all magnitudes; only finite ones that Half holds, which kernels round in a way of their own, unless
/// `special`.
template <class Half>
std::vector<float> numbers_of_all_magnitudes(std::size_t count, bool special) {
    std::mt19937 random(41);
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto pattern = static_cast<std::uint32_t>(random());
        const float one_to_two = float_of((pattern & 0x807fffffu) | 0x3f800000u);
        const bool wide = special || dtype_of<Half> == Dtype::bfloat16;
        values[i] = i % 3 == 0 || !wide ? std::ldexp(one_to_two, static_cast<int>(i % 46) - 31) : float_of(pattern);
        if (!special && !std::isfinite(storage::rounded<Half>(values[i]))) values[i] = 0;
    }
    return values;
}

/// Elements [begin, end), which begin `first` elements into a larger array, are rounded by their numbers, others left
/// alone.
template <class Half>
void expect_rounded(const cpu::Kernels& kernels, std::vector<float> values, unsigned nonnegative,
                    StateRounding rounding, std::int64_t first, std::int64_t begin, std::int64_t end) {
    constexpr Half untouched{0x1234};
    const auto size = static_cast<std::int64_t>(values.size());
    const auto before = [first](auto* array) {
        return reinterpret_cast<decltype(array)>(reinterpret_cast<std::uintptr_t>(array) -
                                                 static_cast<std::uintptr_t>(first) * sizeof *array);
    };
    std::vector<float> param(values.size());
    std::vector<Half> state[max_slots];
    const rounding::Stream& stream = streams[1];
    Tensor view =
        tensor(before(param.data()), before(values.data()), first + size, static_cast<std::int64_t>(stream.step));
    for (std::size_t slot = 0; slot < max_slots; ++slot) {
        state[slot].assign(values.size(), untouched);
        view.state[slot] = before(state[slot].data());
    }
    view.state_dtype = dtype_of<Half>;
    view.state_rounding = rounding;
    view.number = stream.tensor;
    Treatment treatment;
    treatment.seed = stream.seed;
    kernels.tiles[0]({take_gradient_as_state, nonnegative}, nullptr, view, first + begin, first + end, 1, 1, treatment);
    for (std::int64_t i = 0; i < size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        std::uint32_t keys[max_slots / state::quartet_size][state::quartet_size];
        for (std::size_t quartet = 0; quartet * state::quartet_size < max_slots; ++quartet)
            state::keys_of(stream, first + i, quartet, keys[quartet]);
        for (std::size_t slot = 0; slot < max_slots; ++slot) {
            const std::uint32_t key = keys[slot / state::quartet_size][slot % state::quartet_size];
            const Half expected =
                state::encode<Half>(values[at], (nonnegative >> slot & 1) != 0, rounding == StateRounding::stochastic,
                                    state::number_of(key, first + i));
            ASSERT_EQ(state[slot][at].bits, i >= begin && i < end ? expected.bits : untouched.bits)
                << name_of(kernels.isa) << ", slot " << slot << ", element " << first + i << " in [" << begin << ", "
                << end << "), " << std::hexfloat << values[at];
        }
    }
}

TYPED_TEST(StateRounded, EveryInstructionSetRoundsElementsByTheirNumbers) {
    for (const bool special : {false, true}) {
        auto values = numbers_of_all_magnitudes<TypeParam>(1200, special);
        for (const unsigned nonnegative : {0u, 6u, 15u}) {
            if (nonnegative == 15)
                for (float& value : values) value = std::fabs(value);
            for (const cpu::Kernels* kernels : every_kernels()) {
                for (std::int64_t begin = 0; begin <= 512; begin += 64) {
                    for (const std::int64_t count : {1, 8, 15, 63, 64, 129, 192, 256, 257, 500, 600}) {
                        for (const auto rounding : {StateRounding::nearest, StateRounding::stochastic})
                            ASSERT_NO_FATAL_FAILURE(expect_rounded<TypeParam>(*kernels, values, nonnegative, rounding,
                                                                              0, begin, begin + count));
                    }
                }
            }
        }
    }
}

TYPED_TEST(StateRounded, ElementsOfHugeTensorsHaveTheirOwnNumbersToo) {
    const auto values = numbers_of_all_magnitudes<TypeParam>(1200, false);
    constexpr std::int64_t counters_overflow = state::block << 32;
    for (const cpu::Kernels* kernels : every_kernels()) {
        for (const std::int64_t first : {(std::int64_t{1} << 32) - 640, counters_overflow - 640, 3 * counters_overflow})
            ASSERT_NO_FATAL_FAILURE(
                expect_rounded<TypeParam>(*kernels, values, 2, StateRounding::stochastic, first, 0, 1111));
    }
}

}  // namespace
}  // namespace adamcore::test

#include "adamcore/rule_info.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string_view>

#include "adamcore/cpu/kernels.hpp"
#include "support/rules.hpp"

namespace adamcore {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

TEST(Range, HoldsWhatItSays) {
    using rule::Range;
    for (const Range range : {Range::finite, Range::nonnegative, Range::fraction, Range::below_one}) {
        EXPECT_TRUE(rule::contains(range, 0.0));
        EXPECT_TRUE(rule::contains(range, 0.5));
        EXPECT_FALSE(rule::contains(range, infinity));
        EXPECT_FALSE(rule::contains(range, -infinity));
        EXPECT_FALSE(rule::contains(range, not_a_number));
        const auto is = [&](const Range& other) { return range.text == other.text; };
        EXPECT_EQ(rule::contains(range, -1e-300), is(Range::finite));
        EXPECT_EQ(rule::contains(range, 1.0), !is(Range::below_one));
        EXPECT_EQ(rule::contains(range, 1e300), is(Range::finite) || is(Range::nonnegative));
    }
}

TEST(RuleInfo, NamesAreDistinct) {
    std::set<std::string_view> names;
    for (const RuleInfo& info : cpu::all_rules()) {
        EXPECT_TRUE(names.insert(info.name).second) << info.name;
        std::set<std::string_view> parts;
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) parts.insert(info.slots[slot].name);
        for (std::size_t i = 0; i < info.field_count; ++i) parts.insert(info.fields[i].name);
        EXPECT_EQ(parts.size(), info.slot_count + info.field_count) << info.name;
    }
    EXPECT_EQ(names.size(), rules::All::size);
}

TEST(RuleInfo, PresetsLieInTheirRanges) {
    for (const RuleInfo& info : cpu::all_rules()) {
        for (std::size_t i = 0; i < info.field_count; ++i) {
            const bool is_none = info.fields[i].may_be_none && rule::is_none(info.fields[i].preset);
            EXPECT_TRUE(is_none || rule::contains(info.fields[i].range, info.fields[i].preset))
                << info.name << "." << info.fields[i].name;
        }
    }
}

template <class Case>
class Info : public testing::Test {};
TYPED_TEST_SUITE(Info, test::EveryCase, test::TypeNumber);

TYPED_TEST(Info, SpeaksForItsRule) {
    using Rule = typename TypeParam::Rule;
    const RuleInfo& info = cpu::all_rules()[test::index_of<Rule>()];
    const auto hyper = test::distinct_hyper<Rule>();
    const auto values = test::group_of<Rule>(hyper, 1.0).hyper;
    ASSERT_EQ(info.slot_count, Rule::slots.size());
    std::size_t place = 0;
    for (const rule::Slot& slot : Rule::slots) {
        EXPECT_STREQ(info.slots[place].name, slot.name);
        EXPECT_TRUE(info.slots[place].is_nonnegative() == slot.is_nonnegative());
        EXPECT_EQ(rule::nonnegative_slots<Rule>() >> place & 1, slot.is_nonnegative() ? 1u : 0u);
        EXPECT_EQ(info.initial(values, place), rule::initial<Rule>(hyper, place));
        ++place;
    }
}

/// 40 steps from update `start` on, of arrays that begin the same. Returns all arrays, end to end.
template <class T>
std::vector<T> stepped(std::size_t rule, std::int64_t start, cpu::LatestConstants* latest) {
    constexpr std::int64_t size = 37;
    const RuleInfo& info = cpu::all_rules()[rule];
    std::vector<T> values(static_cast<std::size_t>(size) * (2 + info.slot_count));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = T(1) / static_cast<T>(i + 3);
    const auto array = [&](std::size_t place) { return values.data() + place * size; };
    Tensor one = tensor<T>(array(0), array(1), size, start);
    for (std::size_t slot = 0; slot < info.slot_count; ++slot) one.state[slot] = array(2 + slot);
    Group group{rule, {}, 1.0};
    for (std::size_t i = 0; i < info.field_count; ++i) group.hyper[i] = info.fields[i].preset;
    const plan::Cut cuts[] = {{0, 0}, {1, 0}};
    for (; one.step < start + 40; one.step += one.step % 7 == 0 ? 3 : 1) {
        if (latest) latest->prepare(group, one);
        cpu::step(cpu::best_kernels(), &group, &one, cuts, 1, cpu::Serial{}, {}, false, latest);
    }
    return values;
}

/// Constants that follow from those of the step before have the bits of those that do not.
TEST(LatestConstants, LeaveEveryBit) {
    for (const std::size_t rule : test::simple_rules()) {
        cpu::LatestConstants latest;
        for (const std::int64_t start : {std::int64_t{1}, std::int64_t{990}, std::int64_t{1} << 40}) {
            EXPECT_EQ(stepped<float>(rule, start, &latest), stepped<float>(rule, start, nullptr));
            EXPECT_EQ(stepped<double>(rule, start, &latest), stepped<double>(rule, start, nullptr));
        }
    }
}

}  // namespace
}  // namespace adamcore

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
        EXPECT_EQ(rule::contains(range, -1e-300), range == Range::finite);
        EXPECT_EQ(rule::contains(range, 1.0), range != Range::below_one);
        EXPECT_EQ(rule::contains(range, 1e300), range == Range::finite || range == Range::nonnegative);
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
            EXPECT_TRUE(rule::contains(info.fields[i].range, info.fields[i].preset))
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
        EXPECT_TRUE(info.slots[place].nonnegative == slot.nonnegative);
        EXPECT_EQ(rule::nonnegative_slots<Rule>() >> place & 1, slot.nonnegative ? 1u : 0u);
        EXPECT_EQ(info.initial(values, place), rule::initial<Rule>(hyper, place));
        ++place;
    }
}

}  // namespace
}  // namespace adamcore

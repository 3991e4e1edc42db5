#pragma once

#include <cstddef>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "adamcore/rule_info.hpp"

/// Checks of the numbers of groups. Errors are std::invalid_argument.
namespace adamcore::detail {

inline bool is_same_number(double a, double b) { return a == b || (rule::is_none(a) && rule::is_none(b)); }

/// The first two groups that disagree on a field. A field that `may_be_zero` has a say only where it is not 0.
inline std::optional<std::pair<std::size_t, std::size_t>> find_conflict(const Group* groups, std::size_t count,
                                                                        std::size_t field, bool may_be_zero) {
    std::optional<std::size_t> first;
    for (std::size_t i = 0; i < count; ++i) {
        const double x = groups[i].hyper[field];
        if (may_be_zero && x == 0) continue;
        if (!first) first = i;
        if (!is_same_number(x, groups[*first].hyper[field])) return std::pair(*first, i);
    }
    return std::nullopt;
}

inline std::string text_of(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", x);
    return text;
}

/// Whether a value is one that the field may have: flags are 0 or 1, and words are their index.
inline bool is_allowed(const FieldInfo& field, double x) {
    if (rule::is_none(x)) return field.may_be_none;
    if (field.kind == rule::Kind::flag) return x == 0 || x == 1;
    if (field.kind == rule::Kind::number) return rule::contains(field.range, x);
    double words = 0;
    while (field.words[static_cast<std::size_t>(words)]) ++words;
    return x >= 0 && x < words && x == static_cast<double>(static_cast<std::size_t>(x));
}

inline std::string describe(const FieldInfo& field) {
    std::string text = field.kind == rule::Kind::flag ? "0 or 1" : field.range.text;
    if (field.kind == rule::Kind::word) {
        text = "the number of a word:";
        for (std::size_t i = 0; field.words[i]; ++i)
            text += (i ? ", " : " ") + std::to_string(i) + " for " + field.words[i];
    }
    return field.may_be_none ? text + ", or rule::none" : text;
}

/// Raises an error unless each number of a group is in its range. The message names the group if it is not the first.
inline void require_in_range(const RuleInfo& info, const HyperValues& hyper, std::size_t group = 0) {
    for (std::size_t i = 0; i < info.field_count; ++i) {
        if (is_allowed(info.fields[i], hyper[i])) continue;
        throw std::invalid_argument(std::string(info.name) + ": " + info.fields[i].name + " must be " +
                                    describe(info.fields[i]) + ", got " + text_of(hyper[i]) +
                                    (group > 0 ? " in group " + std::to_string(group) : ""));
    }
}

/// Raises an error if groups differ in numbers that they share.
inline void require_agreement(const RuleInfo& info, const Group* groups, std::size_t count) {
    if (info.number_count == 0) return;
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const bool may_be_zero = (info.common_or_zero_fields >> i & 1) != 0;
        if (!may_be_zero && (info.common_fields >> i & 1) == 0) continue;
        const auto conflict = find_conflict(groups, count, i, may_be_zero);
        if (!conflict) continue;
        const auto [a, b] = *conflict;
        throw std::invalid_argument(std::string(info.name) + ": " + info.fields[i].name +
                                    " must be the same in all groups" + (may_be_zero ? ", or 0" : "") + ", got " +
                                    text_of(groups[a].hyper[i]) + " in group " + std::to_string(a) + " and " +
                                    text_of(groups[b].hyper[i]) + " in group " + std::to_string(b));
    }
}

}  // namespace adamcore::detail

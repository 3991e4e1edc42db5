#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "adamcore/math.hpp"

/// A rule's hyper-parameters: their names, where users write them, and the values that they may have.
namespace adamcore::rule {

/// The values that a number may have. NaN never belongs to them.
struct Range {
    double least, most;
    bool excludes_least, excludes_most;
    const char* text;  ///< "must be ..."

    static const Range finite, nonnegative, positive, fraction, below_one, between_zero_and_one, nonpositive,
        at_least_one;
    static const Range from_one;  ///< [1, inf], with infinity
};

inline constexpr double unlimited = std::numeric_limits<double>::max();
inline constexpr double infinite = std::numeric_limits<double>::infinity();

inline constexpr Range Range::finite{-unlimited, unlimited, false, false, "a finite number"};
inline constexpr Range Range::nonnegative{0, unlimited, false, false, "a finite number >= 0"};
inline constexpr Range Range::positive{0, unlimited, true, false, "a finite number > 0"};
inline constexpr Range Range::fraction{0, 1, false, false, "a number in [0, 1]"};
inline constexpr Range Range::below_one{0, 1, false, true, "a number in [0, 1)"};
inline constexpr Range Range::between_zero_and_one{0, 1, true, true, "a number in (0, 1)"};
inline constexpr Range Range::nonpositive{-unlimited, 0, false, false, "a finite number <= 0"};
inline constexpr Range Range::at_least_one{1, unlimited, false, false, "a finite number >= 1"};
inline constexpr Range Range::from_one{1, infinite, false, false, "a number >= 1, or inf"};

constexpr bool contains(const Range& range, double x) {
    const bool above = range.excludes_least ? x > range.least : x >= range.least;
    const bool below = range.excludes_most ? x < range.most : x <= range.most;
    return above && below;
}

constexpr const char* describe(const Range& range) { return range.text; }

/// What users write for a hyper-parameter. All are stored as doubles: flags as 0 or 1, words as their index, None as
/// NaN.
enum class Kind : std::uint8_t { number, flag, word };

/// A hyper-parameter: the name that C++ users see, the member that stores it, and what it may be. Python's users write
/// it under the same name, unless it is an element of a tuple.
template <class Hyper>
struct Field {
    const char* name;
    double Hyper::*member;
    Range range;
    Kind kind = Kind::number;
    bool may_be_none = false;
    const char* tuple = nullptr;         ///< the name of the tuple, or null
    int place = -1;                      ///< in the tuple
    const char* const* words = nullptr;  ///< of a word, with a null behind the last

    /// The element at `index` of a tuple.
    constexpr Field in(const char* tuple_name, int index) const {
        Field field = *this;
        field.tuple = tuple_name;
        field.place = index;
        return field;
    }
    /// Or None, which is stored as NaN.
    constexpr Field or_none() const {
        Field field = *this;
        field.may_be_none = true;
        return field;
    }
};

/// How None is stored.
inline constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// Whether a hyper-parameter is None.
ADAMCORE_FN bool is_none(double x) { return x != x; }

template <class Hyper>
constexpr Field<Hyper> number(const char* name, double Hyper::*member, const Range& range) {
    return {name, member, range};
}
template <class Hyper>
constexpr Field<Hyper> finite(const char* name, double Hyper::*member) {
    return number(name, member, Range::finite);
}
template <class Hyper>
constexpr Field<Hyper> nonnegative(const char* name, double Hyper::*member) {
    return number(name, member, Range::nonnegative);
}
/// In [0, 1].
template <class Hyper>
constexpr Field<Hyper> fraction(const char* name, double Hyper::*member) {
    return number(name, member, Range::fraction);
}
/// In [0, 1).
template <class Hyper>
constexpr Field<Hyper> below_one(const char* name, double Hyper::*member) {
    return number(name, member, Range::below_one);
}
/// True or False.
template <class Hyper>
constexpr Field<Hyper> flag(const char* name, double Hyper::*member) {
    return {name, member, Range::fraction, Kind::flag};
}
/// One of some words; `words` has a null behind the last.
template <class Hyper>
constexpr Field<Hyper> word(const char* name, double Hyper::*member, const char* const* words) {
    return {name, member, Range::nonnegative, Kind::word, false, nullptr, -1, words};
}
/// beta1, beta2, ...: the elements of "betas", counted from 0.
template <class Hyper>
constexpr Field<Hyper> beta(const char* name, double Hyper::*member, int place) {
    return below_one(name, member).in("betas", place);
}

template <class Hyper, class... F>
constexpr std::array<Field<Hyper>, sizeof...(F)> fields(F... field) {
    return {field...};
}

template <class Hyper, class... Member>
constexpr std::array<double Hyper::*, 1 + sizeof...(Member)> members(double Hyper::*first, Member... others) {
    return {first, others...};
}
template <class Hyper, class... Decay>
constexpr std::array<double Hyper::*, 1 + sizeof...(Decay)> decays(double Hyper::*first, Decay... others) {
    return members(first, others...);
}

}  // namespace adamcore::rule

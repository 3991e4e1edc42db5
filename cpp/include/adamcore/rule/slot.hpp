#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "adamcore/math.hpp"

/// The arrays of a rule's state. Memory, checkpoints, `opt.state` and how state begins follow from their descriptions.
namespace adamcore::rule {

enum class Shape : std::uint8_t {
    elements,  ///< like the parameter
    rows,      ///< one for each row: the parameter's shape with a last axis of length 1
    columns,   ///< one for each column of each matrix: the shape with a last but one axis of length 1
    number,    ///< one number of the tensor, in float64
};

/// What a slot contains at first.
enum class Start : std::uint8_t {
    value,  ///< Rule::initial(hyper, slot), or 0
    param,  ///< a copy of the parameter, or of its master weight where there is one
};

/// A state array: the name that users see, and what it is.
struct Slot {
    const char* name;
    /// 1: sums or averages of gradients, 2: of their squares, which are never negative, 0: neither.
    std::uint8_t degree = 1;
    Shape shape = Shape::elements;
    Start start = Start::value;
    /// Whether it is stored in the compute type whatever the precision of other state is. So are rows and columns.
    bool is_full = false;

    constexpr Slot(const char* slot_name, std::uint8_t slot_degree = 1)  // a name alone is enough
        : name(slot_name), degree(slot_degree) {}

    constexpr bool is_nonnegative() const { return degree == 2; }

    constexpr Slot of_rows() const { return shaped(Shape::rows); }
    constexpr Slot of_columns() const { return shaped(Shape::columns); }
    constexpr Slot of_tensor() const { return shaped(Shape::number); }
    constexpr Slot from_param() const {
        Slot slot = *this;
        slot.start = Start::param;
        return slot;
    }
    /// For what must not lose digits: former gradients, former weights.
    constexpr Slot in_full() const {
        Slot slot = *this;
        slot.is_full = true;
        return slot;
    }

private:
    constexpr Slot shaped(Shape new_shape) const {
        Slot slot = *this;
        slot.shape = new_shape;
        slot.is_full = new_shape != Shape::elements;
        return slot;
    }
};

constexpr Slot square(const char* name) { return {name, 2}; }
/// What does not scale with the gradients.
constexpr Slot unscaled(const char* name) { return {name, 0}; }

template <class... S>
constexpr std::array<Slot, sizeof...(S)> slots(S... slot) {
    return {Slot(slot)...};
}

/// One bit for each of a rule's slots, the lowest for the first: whether the slot is nonnegative.
template <class Rule>
constexpr unsigned nonnegative_slots() {
    unsigned bits = 0;
    for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot)
        bits |= Rule::slots[slot].is_nonnegative() ? 1u << slot : 0u;
    return bits;
}

/// The number of slots of a shape among those of a list.
template <class Slots>
constexpr std::size_t count_of(const Slots& list, Shape shape) {
    std::size_t count = 0;
    for (const Slot& slot : list) count += slot.shape == shape;
    return count;
}

}  // namespace adamcore::rule

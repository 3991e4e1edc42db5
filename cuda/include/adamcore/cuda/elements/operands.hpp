#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cuda/table.hpp"
#include "adamcore/rule/check.hpp"

/// The arrays that update() and passes of a rule receive behind the parameter: slots that are not numbers, and then
/// temporaries.
namespace adamcore::cuda {

/// The number of such arrays of a rule.
template <class Rule>
inline constexpr std::size_t operand_count = rule::ElementSlots<Rule>::size + rule::temporaries<Rule>.size();

namespace internal {

template <class Rule>
constexpr std::size_t operand_place(std::size_t k) {
    constexpr std::size_t slots = rule::ElementSlots<Rule>::size;
    return k < slots ? rule::ElementSlots<Rule>::index(k) : Rule::slots.size() + (k - slots);
}

template <class Rule>
constexpr rule::Slot described(std::size_t place) {
    if constexpr (rule::temporaries<Rule>.size() > 0) {
        if (place >= Rule::slots.size()) return rule::temporaries<Rule>[place - Rule::slots.size()];
    }
    return Rule::slots[place];
}

}  // namespace internal

/// The K-th of them.
template <class Rule, std::size_t K>
struct Operand {
    /// Its index in Tensor::state, where temporaries follow the slots.
    static constexpr std::size_t place = internal::operand_place<Rule>(K);
    static_assert(place < max_slots, "slots and temporaries have a place in Tensor::state");
    static constexpr rule::Slot slot = internal::described<Rule>(place);
    static constexpr bool is_of_rows = slot.shape == rule::Shape::rows;
    static constexpr bool is_of_columns = slot.shape == rule::Shape::columns;
    static constexpr bool is_of_elements = !is_of_rows && !is_of_columns;
    static constexpr bool is_full = slot.is_full;
    static constexpr bool is_square = slot.is_nonnegative();
    static constexpr unsigned bit = rule::slot(place);
};

/// a / b of numbers that are not negative. (Devices divide 64-bit numbers slowly.)
ADAMCORE_FN std::int64_t quotient(std::int64_t a, std::int64_t b) {
    if ((a | b) >> 32) return a / b;
    return static_cast<std::int64_t>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

/// The same if a < b + 2^31. (It needs no call, in loops whose other contents would have to make room for one.)
ADAMCORE_FN std::int64_t near_quotient(std::int64_t a, std::int64_t b) {
    if (b >> 31) return a >= b;
    return static_cast<std::int64_t>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

/// Where an element is in its matrix, and among all rows of its tensor.
struct Cell {
    std::int64_t row;     ///< of the tensor
    std::int64_t line;    ///< the row within the matrix
    std::int64_t column;  ///< within the matrix
    std::int64_t begin;   ///< where the matrix begins in arrays of columns

    ADAMCORE_FN static Cell of(const Tensor& tensor, std::int64_t element) {
        const std::int64_t row = quotient(element, tensor.columns), matrix = quotient(row, tensor.rows);
        return {row, row - matrix * tensor.rows, element - row * tensor.columns, matrix * tensor.columns};
    }
    /// The cell of a later element, which is less than 2^31 elements away.
    ADAMCORE_FN Cell after(const Tensor& tensor, std::int64_t distance) const {
        Cell cell = *this;
        cell.column += distance;
        if (cell.column >= tensor.columns) {
            const std::int64_t more = near_quotient(cell.column, tensor.columns);
            cell.column -= more * tensor.columns;
            cell.row += more;
            cell.line += more;
        }
        if (cell.line >= tensor.rows) {
            const std::int64_t more = near_quotient(cell.line, tensor.rows);
            cell.line -= more * tensor.rows;
            cell.begin += more * tensor.columns;
        }
        return cell;
    }
    ADAMCORE_FN void step(const Tensor& tensor) {
        if (++column < tensor.columns) return;
        column = 0;
        ++row;
        if (++line < tensor.rows) return;
        line = 0;
        begin += tensor.columns;
    }
    ADAMCORE_FN void step_down(const Tensor& tensor) {
        ++row;
        if (++line < tensor.rows) return;
        line = 0;
        begin += tensor.columns;
    }
};

}  // namespace adamcore::cuda

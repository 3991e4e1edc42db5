#pragma once

#include <cstdint>

#include "adamcore/cpu/arrays.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

/// Arrays with one number for each row or each column of a tensor's matrices, as kernels see them: with one number for
/// each element.
namespace adamcore::cpu::detail {

/// What a buffer contains: `count` times the number of `row`, or something else if it is negative.
struct FilledRow {
    std::int64_t row = -1, count = 0;
};

template <class Isa, class T>
struct Lines {
    /// Calls `f(at, row, column, count)` for the pieces of elements [begin, begin + count) that lie in one row. `row` is
    /// counted over all matrices, `at` from `begin`.
    template <class F>
    ADAMCORE_FN static void for_each_row(const Tensor& tensor, std::int64_t begin, std::int64_t count, F&& f) {
        const std::int64_t columns = tensor.columns;
        std::int64_t row = begin / columns, column = begin - row * columns;
        for (std::int64_t at = 0, run; at < count; at += run) {
            run = math::min(columns - column, count - at);
            f(at, row, column, run);
            column = 0;
            ++row;
        }
    }

    /// The numbers of the rows of elements [begin, begin + count). `filled` is what the buffer contains.
    ADAMCORE_OUTLINE static T* rows(const Tensor& tensor, const void* array, std::int64_t begin, std::int64_t count,
                                    T* buffer, FilledRow& filled) {
        T* const numbers = static_cast<T*>(const_cast<void*>(array));
        if (tensor.columns == 1) return numbers + begin;
        const std::int64_t first = begin / tensor.columns;
        const bool is_one = begin + count <= (first + 1) * tensor.columns;
        if (is_one && first == filled.row && count <= filled.count) return buffer;
        filled = is_one ? FilledRow{first, count} : FilledRow{};
        for_each_row(tensor, begin, count, [&](std::int64_t at, std::int64_t row, std::int64_t, std::int64_t run) {
            const T number = numbers[row];
            for (std::int64_t i = 0; i < run; ++i) buffer[at + i] = number;
        });
        return buffer;
    }

    /// Those of their columns. The array itself serves where all are in one row.
    ADAMCORE_OUTLINE static T* columns(const Tensor& tensor, const void* array, std::int64_t begin, std::int64_t count,
                                       T* buffer) {
        T* const numbers = static_cast<T*>(const_cast<void*>(array));
        T* result = buffer;
        for_each_row(tensor, begin, count,
                     [&](std::int64_t at, std::int64_t row, std::int64_t column, std::int64_t run) {
                         T* const from = numbers + row / tensor.rows * tensor.columns + column;
                         if (run == count) {
                             result = from;
                         } else {
                             for (std::int64_t i = 0; i < run; ++i) buffer[at + i] = from[i];
                         }
                     });
        return result;
    }
};

}  // namespace adamcore::cpu::detail

ADAMCORE_LOOPS_END

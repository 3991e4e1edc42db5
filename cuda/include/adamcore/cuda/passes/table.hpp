#pragma once

#include <cstdint>

#include "adamcore/cuda/elements/operands.hpp"
#include "adamcore/sums.hpp"

/// The tables of passes: what is visited, and where sums are.
namespace adamcore::cuda {

/// A tensor that a pass visits, and the index of the array of its first sum's terms. Those of other sums follow.
struct Summed {
    std::int32_t tensor;
    std::int32_t unused;
    std::int64_t array;
};

/// Matrices of at most 64 rows and so many elements are visited whole, several by a block.
inline constexpr std::int64_t small_matrices = 2048;

ADAMCORE_FN bool is_small(const Tensor& tensor) {
    return tensor.rows <= sums::block && tensor.columns <= small_matrices / tensor.rows;
}

/// A part of a tensor's matrices.
struct MatrixTile {
    std::int32_t tensor;
    std::int32_t count;   ///< of matrices, if they are whole
    std::int64_t matrix;  ///< the first one
    std::int32_t block;   ///< of 64 rows
    std::int32_t leaf;    ///< of 4096 columns
};

/// Where the sums of a tensor's rows and columns are. Those of one sum come after those of another.
struct LineTerms {
    std::int64_t rows;          ///< a term for each leaf of each row; row() leaves its result in the first of them
    std::int64_t blocks;        ///< by matrix, block of rows, and column
    std::int64_t columns;       ///< the same for the terms that column() adds up
    std::int64_t column_count;  ///< the number of those for each column of each matrix
    std::int64_t totals;        ///< a term for each leaf of each matrix's rows, and the total in the first of them
};

/// The number of matrices of a tensor.
ADAMCORE_FN std::int64_t matrices_of(const Tensor& tensor) {
    return quotient(quotient(tensor.size, tensor.rows), tensor.columns);
}

/// The number of neighbouring terms of a column that one thread of ColumnSums adds up.
inline constexpr std::int64_t column_share = 64;

}  // namespace adamcore::cuda

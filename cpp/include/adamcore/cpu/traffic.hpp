#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/access.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/tensor.hpp"

/// How much work there is, and into how many parts it is worth cutting. Work is counted in bytes that are read or
/// written, because these decide how long an update takes.
namespace adamcore::cpu {

/// The maximum number of parts of one step.
inline constexpr int max_parts = 256;

/// With less than this, work is done before a sleeping thread has woken up. It is what a rule with one
/// state array reads and writes of 131,072 float32 weights, or one with two of 93,623.
inline constexpr std::int64_t least_parallel = 5 << 19;

inline constexpr std::int64_t least_per_part = 5 << 16;

/// There are more parts than threads, so that other threads take over the parts of a thread that is late or held up.
inline constexpr int parts_per_thread = 8;

/// What it takes to convert or gather an element of every array, in bytes that could be read or written meanwhile.
inline constexpr std::int64_t tile_work = 32;

/// What it takes to measure an element, whatever its type.
inline constexpr std::int64_t norm_work = 12;

/// The number of elements of a tensor that an update touches.
inline std::int64_t active_size(const Tensor& tensor) noexcept { return tensor.grad ? tensor.size : 0; }

/// Whether all arrays are dense and of the type in which the rule computes, so that it can update them in place.
inline bool is_stored_plainly(const Tensor& tensor) noexcept {
    const Dtype dtype = compute_dtype(tensor.dtype);
    return tensor.dtype == dtype && tensor.grad_dtype == dtype && tensor.state_dtype == dtype && !tensor.layout;
}

/// The work of an update of this tensor.
inline std::int64_t work_of(const Tensor& tensor) noexcept {
    const std::int64_t size = active_size(tensor);
    std::size_t bytes = 2 * size_of(tensor.dtype) + size_of(tensor.grad_dtype);
    for (const void* slot : tensor.state) bytes += slot ? 2 * size_of(tensor.state_dtype) : 0;
    for (const std::size_t bits : extra_bits(tensor.weights)) bytes += 2 * bits / 8;
    return size * (static_cast<std::int64_t>(bytes) + (is_stored_plainly(tensor) ? 0 : tile_work));
}

/// The work of a kernel that reads and writes some of the arrays. Rows and columns are few.
inline std::int64_t work_of(const Tensor& tensor, const Access& access) noexcept {
    const auto times = [&](unsigned array) { return ((access.reads & array) != 0) + ((access.writes & array) != 0); };
    std::size_t bytes = static_cast<std::size_t>(times(rule::param)) * size_of(tensor.dtype) +
                        static_cast<std::size_t>(times(rule::grad)) * size_of(tensor.grad_dtype);
    for (std::size_t slot = 0; slot < max_slots; ++slot) {
        const unsigned bit = 1u << slot;
        if (!tensor.state[slot] || ((access.rows | access.columns | access.numbers) & bit) != 0) continue;
        const Dtype dtype = (access.full & bit) != 0 ? compute_dtype(tensor.dtype) : tensor.state_dtype;
        bytes += static_cast<std::size_t>(times(rule::slot(slot))) * size_of(dtype);
    }
    for (const std::size_t bits : extra_bits(tensor.weights))
        bytes += static_cast<std::size_t>(times(rule::param)) * bits / 8;
    return active_size(tensor) * (static_cast<std::int64_t>(bytes) + (is_stored_plainly(tensor) ? 0 : tile_work));
}

/// The work of measuring or rescaling an array.
inline std::int64_t work_of(const norm::Reading& array) noexcept { return array.size * norm_work; }

/// The number of parts into which this much work is cut.
inline int parts_for(std::int64_t work, int threads) noexcept {
    if (threads <= 1 || work < least_parallel) return 1;
    return static_cast<int>(
        std::min<std::int64_t>({work / least_per_part, parts_per_thread * std::int64_t{threads}, max_parts}));
}

}  // namespace adamcore::cpu

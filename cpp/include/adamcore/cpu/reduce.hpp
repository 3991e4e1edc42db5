#pragma once

#include <cstdint>

#include "adamcore/cpu/arrays.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/storage/state_rounding.hpp"

ADAMCORE_LOOPS_BEGIN

/// Reads or rescales arrays without an update.
namespace adamcore::cpu {

/// Writes the sums of squares of the leaves of elements [begin, end). `begin` is a multiple of sums::leaf.
using MeasureLeaves = void (*)(const norm::Reading& array, std::int64_t begin, std::int64_t end,
                               norm::Squares* leaves) noexcept;

/// Multiplies elements [begin, end) of an array in place by `factor`, and clips them to [-limit, limit]. If they
/// `are_squares` of state, rounding makes none of them 0.
using Rescale = void (*)(const norm::Reading& array, std::int64_t begin, std::int64_t end, Scale factor, double limit,
                         bool are_squares) noexcept;

namespace detail {

/// Reads or rescales arrays without an update, for one ISA.
template <class Isa>
struct Reduction {
    static void measure(const norm::Reading& array, std::int64_t begin, std::int64_t end,
                        norm::Squares* leaves) noexcept {
        visit(array.dtype, [&](auto x) {
            using Stored = decltype(x);
            const auto leaf = [&](std::int64_t at, std::int64_t count) {
                const auto sum = [&](double scale) { return sum_of_squares<Stored>(array, at, count, scale); };
                const auto outgrows = [&] { return outgrows_float(array, at, count); };
                return norm::leaf_squares<Stored>(sum, outgrows);
            };
            for (std::int64_t at = begin; at < end; at += sums::leaf)
                *leaves++ = leaf(at, math::min(sums::leaf, end - at));
        });
    }

    static void rescale(const norm::Reading& array, std::int64_t begin, std::int64_t end, Scale factor, double limit,
                        bool are_squares) noexcept {
        visit(array.dtype, [&](auto x) {
            using T = decltype(storage::decode(x));
            alignas(64) T buffer[tile];
            void* data = const_cast<void*>(array.data);
            for (std::int64_t at = begin; at < end; at += tile) {
                const std::int64_t count = math::min(tile, end - at);
                Arrays<Isa>::load(data, array.dtype, array.axes, at, count, buffer);
                Arrays<Isa>::scale_and_clip(buffer, count, factor, limit);
                if constexpr (sizeof x == 2) {
                    for (std::int64_t i = 0; are_squares && i < count; ++i)
                        buffer[i] = state::nonzero<decltype(x)>(buffer[i]);
                }
                Arrays<Isa>::store(buffer, data, array.dtype, array.axes, at, count);
            }
        });
    }

private:
    /// Decoding float16 takes a separate pass. Decoding other dense arrays costs nothing, because the sum widens them
    /// anyway.
    template <class Stored>
    static double sum_of_squares(const norm::Reading& array, std::int64_t begin, std::int64_t count, double scale) {
        sums::LaneSums sums;
        if (array.axes.count == 0 && dtype_of<Stored> != Dtype::float16) {
            norm::accumulate(sums, static_cast<const Stored*>(array.data) + begin, count, scale);
            return sums::total(sums);
        }
        using T = decltype(storage::decode(Stored{}));
        alignas(64) T buffer[tile];
        for (std::int64_t at = 0; at < count; at += tile) {
            const std::int64_t some = math::min(tile, count - at);
            Arrays<Isa>::load(array.data, array.dtype, array.axes, begin + at, some, buffer);
            norm::accumulate(sums, buffer, some, scale);
        }
        return sums::total(sums);
    }

    static bool outgrows_float(const norm::Reading& array, std::int64_t begin, std::int64_t count) {
        double buffer[tile];
        bool found = false;
        for (std::int64_t at = 0; at < count && !found; at += tile) {
            const std::int64_t some = math::min(tile, count - at);
            Arrays<Isa>::load(array.data, array.dtype, array.axes, begin + at, some, buffer);
            for (std::int64_t i = 0; i < some; ++i) found |= norm::is_infinite_in_float(buffer[i]);
        }
        return found;
    }
};

}  // namespace detail

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

#pragma once

#include <cstdint>

#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/arrays.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

/// Updates arrays that a rule cannot process in place, tile by tile. Rules are passed as function pointers.
namespace adamcore::cpu {

/// Updates elements [begin, end) of `tensor` with a rule's sweep and its constants; `begin` is a multiple of 64. The
/// gradient is first processed as `treatment` says, with `scale` as its scale for this tensor, and then multiplied by
/// `group_scale`.
using TileSweep = void (*)(DenseSweep rule, const void* constants, const Tensor& tensor, std::int64_t begin,
                           std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept;

namespace detail {

/// The tiles of one tensor, for one ISA and compute type.
template <class Isa, class T>
struct Tiles {
    static void sweep(DenseSweep rule, const void* constants, const Tensor& tensor, std::int64_t begin,
                      std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept {
        TileArrays<Isa, T> arrays(rule.access, tensor, group_scale, scale, treatment);
        const double kernel_scale = arrays.kernel_scale();
        for_each_tile(0, begin, end, arrays.at_once(), [&](std::int64_t at, std::int64_t count) {
            const auto here = arrays.load(at, count);
            rule(constants, kernel_scale, count, end - at - count, here.param, here.grad, here.state);
            arrays.store(at, count);
        });
    }
};

}  // namespace detail

template <class Isa, class T>
inline constexpr TileSweep tile_sweep = detail::Tiles<Isa, T>::sweep;

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END

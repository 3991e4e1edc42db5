#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/statistics/observer.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/cpu/update.hpp"
#include "adamcore/cpu/weight_passes/followers.hpp"
#include "adamcore/tensor.hpp"

/// The pieces of a step: each is updated, watched by the observer if there is one, and followed by passes over weights.
namespace adamcore::cpu::detail {

/// Who accompanies the updates of a step.
struct Company {
    const Followers& followers;
    const Observer* observer = nullptr;
};

/// One piece of a step: elements [begin, end) of tensor `i`, whose rule has these sweeps.
struct Piece {
    const DenseSweep* sweeps;  ///< by compute type
    std::size_t rule;
    const TileSweep* tiles;
    const void* constants;
    const Tensor& tensor;
    std::int64_t i, begin, end;
    double group_scale;
    const Treatment& treatment;

    template <class T>
    void update(const DenseSweep& sweep, const void* step, std::int64_t at, std::int64_t next) const noexcept {
        constexpr auto type = static_cast<std::size_t>(dtype_of<T>);
        detail::update<T>(sweep, tiles[type], step, tensor, at, next, group_scale, treatment.scale_of(i), treatment);
    }
};

/// (Not inlined: it is not part of steps without statistics.)
template <class T>
ADAMCORE_OUTLINE void update_observed(const Piece& piece, const Watch& watch, std::int64_t at,
                                      std::int64_t next) noexcept {
    const DenseSweep& sweep = piece.sweeps[static_cast<std::size_t>(dtype_of<T>)];
    const Scale whole = piece.group_scale * piece.treatment.scale_of(piece.i);
    const bool in_place = sizeof(T) == 4 && works_in_place<T>(sweep, piece.tensor, whole, piece.treatment);
    if (const FusedSweep fused = in_place ? watch.fused(piece.rule, piece.i) : nullptr)
        return watch.update_fused(fused, piece.tensor, piece.i, piece.constants, at, next, whole.number);
    watch.update(piece.tensor, piece.i, sweep, piece.constants, at, next,
                 [&](const DenseSweep& observed, const void* step, std::int64_t from, std::int64_t to) {
                     piece.update<T>(observed, step, from, to);
                 });
}

/// Updates a piece, and lets passes follow.
inline void update_piece(const Company& company, const Watch& watch, const Piece& piece) noexcept {
    visit_compute(piece.tensor.dtype, [&](auto x) {
        using T = decltype(x);
        const auto update = [&](std::int64_t at, std::int64_t next) {
            if (company.observer) return update_observed<T>(piece, watch, at, next);
            piece.update<T>(piece.sweeps[static_cast<std::size_t>(dtype_of<T>)], piece.constants, at, next);
        };
        update_and_follow(company.followers, piece.tiles, piece.tensor, piece.i, piece.begin, piece.end,
                          piece.treatment.seed, update);
    });
}

}  // namespace adamcore::cpu::detail

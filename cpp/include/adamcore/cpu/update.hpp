#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/tensor.hpp"

/// The update of a part of one tensor, in place or tile by tile.
namespace adamcore::cpu::detail {

/// Whether a rule can update the tensor's arrays in place, without buffers.
inline bool is_direct(const Tensor& tensor, const Treatment& treatment) noexcept {
    return is_stored_plainly(tensor) && !treatment.prepares();
}

/// Whether a sweep updates the tensor's arrays themselves, with gradients multiplied by this scale.
template <class T>
bool works_in_place(const DenseSweep& rule, const Tensor& tensor, Scale scale, const Treatment& treatment) noexcept {
    return is_direct(tensor, treatment) && rule.access.is_by_elements() && scale::is_normal<T>(scale);
}

/// Updates elements [begin, end) of one tensor with a rule's sweep, in place or tile by tile.
template <class T>
void update(DenseSweep rule, TileSweep tiles, const void* constants, const Tensor& tensor, std::int64_t begin,
            std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept {
    const Scale whole = group_scale * scale;
    if (!works_in_place<T>(rule, tensor, whole, treatment))
        return tiles(rule, constants, tensor, begin, end, group_scale, scale, treatment);
    void* state[max_slots] = {};
    for (std::size_t slot = 0; slot < max_slots && tensor.state[slot]; ++slot)
        state[slot] = static_cast<T*>(tensor.state[slot]) + begin;
    rule(constants, whole.number, end - begin, 0, static_cast<T*>(tensor.param) + begin,
         static_cast<const T*>(tensor.grad) + begin, state);
}

/// Runs a pass that is no step over elements [begin, end) of a tensor, in place or tile by tile. `sweeps` are by compute
/// type, and `step(T{})` is what the pass knows before the loop over elements.
template <class MakeStep>
void pass_over(const DenseSweep* sweeps, const TileSweep* tiles, const Tensor& tensor, std::int64_t begin,
               std::int64_t end, std::uint64_t seed, MakeStep&& step) noexcept {
    Treatment treatment;
    treatment.seed = seed;
    visit_compute(tensor.dtype, [&](auto x) {
        using T = decltype(x);
        constexpr auto type = static_cast<std::size_t>(dtype_of<T>);
        const auto constants = step(x);
        update<T>(sweeps[type], tiles[type], &constants, tensor, begin, end, 1.0, Scale(1), treatment);
    });
}

}  // namespace adamcore::cpu::detail

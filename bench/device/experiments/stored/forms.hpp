#pragma once

#include "common/variant.hpp"
#include "stored/shared.hpp"

/// E3's factors.
namespace adamcore::experiments {

template <Conversion how, Philox who, int blocks>
struct Form : StoredRaw {
    static constexpr Conversion conversion = how;
    static constexpr Philox philox = who;
    static constexpr int resident = blocks;
};

template <class C>
struct Four : C {
    static constexpr int width = 4;
};

template <class C>
struct Forgetting : C {
    static constexpr bool forgets = true;
};

/// For one storage alone: what all branches cost.
template <class C, Dtype state, WeightPolicy kept>
struct Fixed : C {
    static constexpr bool fixed = true;
    static constexpr Dtype param_type = Dtype::bfloat16, grad_type = Dtype::bfloat16, state_type = state;
    static constexpr WeightPolicy weights = kept;
};

template <class C>
Variant stored_variant(std::string name) {
    Variant variant{std::move(name)};
    if constexpr (C::philox == Philox::each) {
        variant.update = kernel_alone<Stored<C>>();
    } else if constexpr (C::philox == Philox::tile) {
        variant.update = kernel_in_phases<StoredByTile<C>>();
    } else {
        variant.update = kernel_by_warps<StoredByWarp<C>>();
    }
    if (C::conversion == Conversion::hardware) variant.needs = 8;
    return variant;
}

}  // namespace adamcore::experiments

#pragma once

#include "common/variant.hpp"

/// E2's factors, to be put on each other.
namespace adamcore::experiments {

template <class C, int size>
struct WithTile : C {
    static constexpr int tile = size;
};

template <class C, int threads_of_block, int blocks, int vectors>
struct WithShape : C {
    static constexpr int threads = threads_of_block, resident = blocks, batch = vectors;
};

template <class C, Cache hints>
struct WithCache : C {
    static constexpr Cache cache = hints;
};

template <class C>
struct Early : C {
    static constexpr bool early = true;
};

struct Flat : DenseBase {
    static constexpr Rows rows = Rows::flat;
};

}  // namespace adamcore::experiments

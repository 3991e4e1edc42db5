#include "dense/shapes.hpp"

namespace adamcore::experiments {

Variant before_update() { return before_variant("base"); }

Variants dense_variants() {
    using Base = DenseBase;
    return {
        dense_variant<Base>("base"),
        before_variant("before"),
        engine_with_arguments(),
        engine_with_tables(),
        dense_variant<WithTile<Base, 2048>>("tile2048"),
        dense_variant<WithTile<Base, 8192>>("tile8192"),
        dense_variant<WithTile<Base, 16384>>("tile16384"),
        dense_variant<WithShape<Base, 256, 3, 2>>("256x3x2"),
        dense_variant<WithShape<Base, 256, 6, 1>>("256x6x1"),
        dense_variant<WithShape<Base, 128, 8, 2>>("128x8x2"),
        dense_variant<WithShape<Base, 512, 2, 2>>("512x2x2"),
        dense_variant<WithShape<Base, 256, 2, 4>>("256x2x4"),
        dense_variant<WithCache<Base, Cache::streaming>>("cs"),
        dense_variant<WithCache<Base, Cache::no_allocate>>("no_allocate"),
        dense_variant<Early<Base>>("early"),
    };
}

}  // namespace adamcore::experiments

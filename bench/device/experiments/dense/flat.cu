#include "dense/shapes.hpp"

namespace adamcore::experiments {

Variants flat_variants() {
    using Flat8 = WithTile<Flat, 8192>;
    return {
        dense_variant<Flat>("flat"),
        dense_variant<Early<Flat>>("flat+early"),
        dense_variant<WithTile<Flat, 2048>>("flat+tile2048"),
        dense_variant<Flat8>("flat+tile8192"),
        dense_variant<WithTile<Flat, 16384>>("flat+tile16384"),
        dense_variant<WithShape<Flat, 256, 3, 2>>("flat+256x3x2"),
        dense_variant<WithShape<Flat, 256, 6, 1>>("flat+256x6x1"),
        dense_variant<WithShape<Flat, 128, 8, 2>>("flat+128x8x2"),
        dense_variant<WithShape<Flat, 512, 2, 2>>("flat+512x2x2"),
        dense_variant<WithShape<Flat, 256, 2, 4>>("flat+256x2x4"),
        dense_variant<WithCache<Flat, Cache::streaming>>("flat+cs"),
        dense_variant<WithCache<Flat, Cache::no_allocate>>("flat+no_allocate"),
        dense_variant<WithCache<Flat8, Cache::streaming>>("flat+tile8192+cs"),
        dense_variant<WithCache<Flat8, Cache::no_allocate>>("flat+tile8192+no_allocate"),
        dense_variant<WithShape<Flat8, 256, 3, 2>>("flat+tile8192+256x3x2"),
        dense_variant<WithShape<Flat8, 256, 2, 4>>("flat+tile8192+256x2x4"),
        dense_variant<Early<WithShape<Flat, 256, 3, 2>>>("flat+early+256x3x2"),
        dense_variant<Early<Flat8>>("flat+early+tile8192"),
        dense_variant<WithCache<Early<Flat>, Cache::no_allocate>>("flat+early+no_allocate"),
    };
}

}  // namespace adamcore::experiments

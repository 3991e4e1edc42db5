#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

void rescale_arrays(int device, const std::vector<Rescaled>& arrays, double factor, double limit, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream)) throw Error("gradients cannot be clipped by themselves in a CUDA graph that is captured");
    RescaleArguments arguments{nullptr, nullptr, nullptr, factor, limit};
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        for (std::int64_t at = 0; at < arrays[i].size; at += tile)
            tiles.push_back({static_cast<std::int32_t>(i), static_cast<std::uint32_t>(at / tile)});
    }
    const auto lay_out = [&](Packer packer) {
        std::vector<Reading> readings;
        std::vector<void*> data;
        for (const Rescaled& array : arrays) {
            readings.push_back({0, array.dtype, false, array.size, 0, packed(array.axes, packer)});
            data.push_back(array.data);
        }
        arguments.tiles = packer.add(tiles);
        arguments.readings = packer.add(readings);
        arguments.arrays = packer.add(data);
        return packer.size();
    };
    const std::size_t size = lay_out({});
    const Block block(device, size, stream);
    std::vector<std::byte> host(size);
    lay_out({host.data(), block.data()});
    Staging::of(device).send(block.data(), host.data(), size, stream);
    rescale(static_cast<std::int64_t>(tiles.size()), arguments, stream);
}

}  // namespace adamcore::cuda

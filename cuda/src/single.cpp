// Operations on arrays without an optimizer.

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

namespace {

/// Tables for one kernel, released when it is done. `lay_out(packer)` returns their size.
class Temporary {
public:
    template <class LayOut>
    Temporary(int device, Stream stream, LayOut&& lay_out)
        : host_(lay_out(Packer())), block_(device, host_.size(), stream) {
        lay_out(Packer(host_.data(), block_.data()));
        Staging::of(device).send(block_.data(), host_.data(), host_.size(), stream);
    }

private:
    std::vector<std::byte> host_;
    Block block_;
};

void add_tiles(std::size_t place, std::int64_t size, std::vector<Tile>& tiles) {
    for (std::int64_t at = 0; at < size; at += tile)
        tiles.push_back({static_cast<std::int32_t>(place), static_cast<std::uint32_t>(at / tile)});
}

/// Adds the state arrays of a tensor that are to be initialised.
void add_arrays(std::int32_t place, const Tensor& tensor, const std::vector<Initial>& slots,
                std::vector<StartedArray>& arrays) {
    for (std::size_t k = 0; k < slots.size(); ++k) {
        const rule::Slot& slot = slots[k].slot;
        if (tensor.state[k])
            arrays.push_back({place, slot_dtype(tensor, slot), slot.is_nonnegative(), slot.start == rule::Start::param,
                              tensor.state[k], slot_size(tensor, slot), slots[k].value});
    }
    if (tensor.extra[0]) arrays.push_back({place, Dtype::float32, false, false, nullptr, tensor.size, 0});
}

}  // namespace

void rescale_arrays(int device, const std::vector<Rescaled>& arrays, Scale factor, double limit, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream))
        throw Error("gradients cannot be clipped without a step while a CUDA graph is being captured");
    RescaleArguments arguments{nullptr, nullptr, nullptr, factor, limit};
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < arrays.size(); ++i) add_tiles(i, arrays[i].size, tiles);
    const Temporary tables(device, stream, [&](Packer packer) {
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
    });
    rescale(static_cast<std::int64_t>(tiles.size()), arguments, stream);
}

void start_state(int device, const std::vector<Tensor>& tensors, const std::vector<Initial>& slots, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream)) throw Error("an optimizer cannot be made while a CUDA graph is being captured");
    StartArguments arguments{};
    std::vector<StartedArray> arrays;
    for (std::size_t i = 0; i < tensors.size(); ++i)
        add_arrays(static_cast<std::int32_t>(i), tensors[i], slots, arrays);
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < arrays.size(); ++i) add_tiles(i, arrays[i].size, tiles);
    const Temporary tables(device, stream, [&](Packer packer) {
        arguments.tiles = packer.add(tiles);
        arguments.arrays = packer.add(arrays);
        std::vector<Tensor> on_device = tensors;
        for (Tensor& tensor : on_device) {
            if (tensor.layout)
                tensor.layout = packer.add(std::vector{Layout{packed(tensor.layout->param, packer), Axes{}}});
        }
        arguments.tensors = packer.add(on_device);
        return packer.size();
    });
    start(static_cast<std::int64_t>(tiles.size()), arguments, stream);
}

}  // namespace adamcore::cuda

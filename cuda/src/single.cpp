// Operations on arrays without an optimizer.

#include <algorithm>
#include <iterator>
#include <memory>
#include <new>

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "adamcore/cuda/weight_pass.hpp"

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

/// The tables of one Rescale, which are on the device before it is launched.
class Rescaling {
public:
    Rescaling(int device, const std::vector<Rescaled>& arrays, RescaleArguments arguments, Stream stream)
        : arguments_(arguments), tables_(device, stream, [&](Packer packer) { return lay_out(arrays, packer); }) {}

    void launch(Stream stream) const { rescale(tile_count_, arguments_, stream); }

private:
    std::size_t lay_out(const std::vector<Rescaled>& arrays, Packer packer) {
        std::vector<Tile> tiles;
        std::vector<Reading> readings;
        std::vector<void*> data;
        for (const Rescaled& array : arrays) {
            add_tiles(readings.size(), array.size, tiles);
            readings.push_back({0, array.dtype, false, array.size, 0, packed(array.axes, packer)});
            data.push_back(array.data);
        }
        tile_count_ = static_cast<std::int64_t>(tiles.size());
        arguments_.tiles = packer.add(tiles);
        arguments_.readings = packer.add(readings);
        arguments_.arrays = packer.add(data);
        return packer.size();
    }

    RescaleArguments arguments_;
    std::int64_t tile_count_ = 0;
    Temporary tables_;
};

/// A pass over tensors of one compute type, whose tables are on the device before it is launched. `step(T{})` is what the
/// kernel knows before the loop over elements.
class ElementPass {
public:
    template <class MakeStep>
    ElementPass(int device, const Launch<UpdateArguments>& kernel, Dtype type, const std::vector<Tensor>& tensors,
                MakeStep&& step, std::uint64_t seed, Stream stream)
        : kernel_(kernel), tables_(device, stream, [&](Packer packer) { return lay_out(tensors, packer); }) {
        arguments_.scale = 1;
        arguments_.limit = Treatment::no_limit;
        arguments_.seed = seed;
        HostedConstants& constants = arguments_.hosted[0];
        constants.grad_scale = 1;
        visit_compute(type, [&](auto x) {
            using Step = decltype(step(x));
            static_assert(sizeof(Step) <= sizeof constants.step.bytes);
            new (constants.step.bytes) Step(step(x));
        });
    }

    void launch(Stream stream) const { kernel_(tile_count_, arguments_, stream); }

private:
    std::size_t lay_out(const std::vector<Tensor>& tensors, Packer packer) {
        std::vector<Tile> tiles;
        std::vector<const void*> grads;
        std::vector<Tensor> on_device = tensors;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            add_tiles(i, tensors[i].size, tiles);
            grads.push_back(tensors[i].grad);
            on_device[i].group = 0;
            on_device[i].layout = packed_layout(tensors[i], packer);
        }
        tile_count_ = static_cast<std::int64_t>(tiles.size());
        arguments_.tiles = packer.add(tiles);
        arguments_.grads = packer.add(grads);
        arguments_.tensors = packer.add(on_device);
        return packer.size();
    }

    const Launch<UpdateArguments>& kernel_;
    UpdateArguments arguments_{};
    std::int64_t tile_count_ = 0;
    Temporary tables_;
};

/// Passes over elements whose tables have all been brought to the device before the first one is launched.
class ElementPasses {
public:
    ElementPasses(int device, Stream stream) : device_(device), stream_(stream) {}

    /// Adds a pass over those tensors for which `is_chosen(tensor)`, by a kernel for each compute type.
    template <class KernelOf, class IsChosen, class MakeStep>
    void add(KernelOf&& kernel_of, const std::vector<Tensor>& tensors, IsChosen&& is_chosen, MakeStep&& step,
             std::uint64_t seed) {
        for (const Dtype type : {Dtype::float32, Dtype::float64}) {
            std::vector<Tensor> chosen;
            std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(chosen), [&](const Tensor& tensor) {
                return compute_dtype(tensor.dtype) == type && is_chosen(tensor);
            });
            if (chosen.empty()) continue;
            kernel_of(type).load();
            prepared_.push_back(
                std::make_unique<ElementPass>(device_, kernel_of(type), type, chosen, step, seed, stream_));
        }
    }

    void launch() const {
        for (const auto& each : prepared_) each->launch(stream_);
    }

private:
    int device_;
    Stream stream_;
    std::vector<std::unique_ptr<ElementPass>> prepared_;
};

}  // namespace

void rescale_arrays(int device, const std::vector<Rescaled>& arrays, Scale factor, double limit, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream))
        throw Error("gradients cannot be clipped without a step while a CUDA graph is being captured");
    Rescaling(device, arrays, {nullptr, nullptr, nullptr, factor, limit}, stream).launch(stream);
}

void rescale_state(int device, const std::vector<RescaledState>& states, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream)) throw Error("state cannot be rescaled while a CUDA graph is being captured");
    std::vector<std::unique_ptr<Rescaling>> prepared;
    for (const RescaledState& each : states) {
        if (each.arrays.empty()) continue;
        const RescaleArguments arguments{nullptr, nullptr, nullptr, each.factor, Treatment::no_limit, each.are_squares};
        prepared.push_back(std::make_unique<Rescaling>(device, each.arrays, arguments, stream));
    }
    for (const auto& each : prepared) each->launch(stream);
}

struct WeightPass::Prepared : ElementPasses {
    using ElementPasses::ElementPasses;
};

WeightPass::WeightPass(int device, std::size_t pass, const std::vector<Tensor>& tensors,
                       const std::vector<double>& shares, std::uint64_t seed, Stream stream)
    : prepared_(std::make_unique<Prepared>(device, stream)) {
    const DeviceScope scope(device);
    if (is_capturing(stream)) throw Error("weights cannot be exchanged while a CUDA graph is being captured");
    const auto kernel_of = [&](Dtype type) -> const auto& {
        return (type == Dtype::float64 ? weights_double : weights_float)[pass];
    };
    for (std::size_t group = 0; group < shares.size(); ++group) {
        const auto is_chosen = [&](const Tensor& tensor) { return static_cast<std::size_t>(tensor.group) == group; };
        const auto step = [&](auto x) {
            return weight_pass::Step<decltype(x)>{static_cast<decltype(x)>(shares[group])};
        };
        prepared_->add(kernel_of, tensors, is_chosen, step, seed);
    }
}

WeightPass::~WeightPass() = default;

void WeightPass::launch() const { prepared_->launch(); }

void run_weight_pass(int device, std::size_t pass, const std::vector<Tensor>& tensors,
                     const std::vector<double>& shares, std::uint64_t seed, Stream stream) {
    const DeviceScope scope(device);
    WeightPass(device, pass, tensors, shares, seed, stream).launch();
}

void add_leaf(int device, const std::vector<LeafPass>& leaf_passes, Stream stream) {
    const DeviceScope scope(device);
    if (is_capturing(stream)) throw Error("gradients cannot be accumulated while a CUDA graph is being captured");
    ElementPasses passes(device, stream);
    for (const LeafPass& pass : leaf_passes) {
        const auto kernel_of = [&](Dtype type) -> const auto& {
            return (type == Dtype::float64 ? leaves_double : leaves_float)[static_cast<std::size_t>(pass.pass)];
        };
        const auto all = [](const Tensor&) { return true; };
        const auto step = [&](auto x) { return leaf::prepare<decltype(x)>(pass.weights); };
        passes.add(kernel_of, pass.tensors, all, step, 0);
    }
    passes.launch();
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
        for (Tensor& tensor : on_device) tensor.layout = packed_layout(tensor, packer);
        arguments.tensors = packer.add(on_device);
        return packer.size();
    });
    start(static_cast<std::int64_t>(tiles.size()), arguments, stream);
}

}  // namespace adamcore::cuda

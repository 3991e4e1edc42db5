// Averages of weights that follow the steps of an engine.

#include "adamcore/cuda/averages/followers.hpp"

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {
namespace {

const Launch<UpdateArguments>& launch_of(std::size_t pass, Dtype type) {
    return (type == Dtype::float64 ? weights_double : weights_float)[pass];
}

}  // namespace

void Followers::set(std::vector<FollowedAverage> averages) noexcept {
    averages_ = std::move(averages);
    block_.reset();
    parts_.clear();
}

void Followers::prepare(int device, const std::vector<Entry>& entries, std::uint64_t seed, std::optional<Stream> own,
                        Stream stream) {
    if (are_ready()) return;
    std::vector<std::byte> host(lay_out(entries, seed, {}));
    auto block = std::make_shared<Block>(device, host.size(), own);
    lay_out(entries, seed, {host.data(), block->data()});
    Staging::of(device).send(block->data(), host.data(), host.size(), stream);
    block_ = std::move(block);
}

std::size_t Followers::lay_out(const std::vector<Entry>& entries, std::uint64_t seed, Packer packer) {
    std::vector<AverageState> states(averages_.size());
    for (std::size_t k = 0; k < averages_.size(); ++k) {
        states[k].average = averages_[k].average;
        states[k].progress = averages_[k].progress;
    }
    states_ = packer.add(states);
    parts_.clear();
    for (std::size_t k = 0; k < averages_.size(); ++k) {
        for (const Dtype type : {Dtype::float32, Dtype::float64}) add_part(k, type, entries, seed, packer);
    }
    return packer.size();
}

void Followers::add_part(std::size_t average, Dtype type, const std::vector<Entry>& entries, std::uint64_t seed,
                         Packer& packer) {
    std::vector<Tensor> tensors;
    std::vector<const void*> grads;
    std::vector<Tile> tiles;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (compute_dtype(entries[i].tensor.dtype) != type) continue;
        Tensor tensor = weight_pass::weights_of(entries[i].tensor, averages_[average].arrays[i]);
        tensor.group = 0;
        tensor.layout = packed_layout(tensor, packer);
        for (std::int64_t at = 0; at < tensor.size; at += tile)
            tiles.push_back({static_cast<std::int32_t>(tensors.size()), static_cast<std::uint32_t>(at / tile)});
        grads.push_back(tensor.grad);
        tensors.push_back(tensor);
    }
    if (tiles.empty()) return;
    UpdateArguments a{};
    a.tensors = packer.add(tensors);
    a.grads = packer.add(grads);
    a.tiles = packer.add(tiles);
    a.constants = states_[average].constants + static_cast<std::size_t>(type);
    a.control = &states_[average].control;
    a.scale = 1;
    a.limit = Treatment::no_limit;
    a.seed = seed;
    parts_.push_back({averages_[average].pass, type, static_cast<std::int64_t>(tiles.size()), a});
}

void Followers::load() const {
    if (empty()) return;
    advance.load();
    for (const Part& part : parts_) launch_of(part.pass, part.type).load();
}

void Followers::queue(const Control* control, const Course* course, Stream stream) const {
    if (empty()) return;
    advance(1, {states_, static_cast<std::int32_t>(averages_.size()), control, course}, stream);
    for (const Part& part : parts_) launch_of(part.pass, part.type)(part.blocks, part.arguments, stream);
}

std::vector<WeightAverage::Progress> Followers::progress(int device, const Event& after) const {
    std::vector<WeightAverage::Progress> found;
    if (!block_) {
        for (const FollowedAverage& each : averages_) found.push_back(each.progress);
        return found;
    }
    const DeviceScope scope(device);
    std::vector<AverageState> states(averages_.size());
    copy_to_host(states.data(), states_, states.size() * sizeof(AverageState), after);
    for (const AverageState& each : states) found.push_back(each.progress);
    return found;
}

void Followers::set_progress(const std::vector<WeightAverage::Progress>& progress) {
    for (std::size_t k = 0; k < averages_.size() && k < progress.size(); ++k) {
        averages_[k].progress = progress[k];
        if (block_) copy_to_device_now(&states_[k].progress, &averages_[k].progress, sizeof progress[k]);
    }
}

}  // namespace adamcore::cuda

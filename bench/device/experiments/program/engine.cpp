#include "program/engine.hpp"

#include <new>

#include "adamcore/rule/make_info.hpp"
#include "adamcore/rules/all.hpp"

namespace adamcore::experiments {

bias::Powers powers_before(double beta, std::int64_t t) {
    bias::Powers known{};
    known.beta = -1;
    if (t > 1) bias::correction(known, beta, t - 1);
    return known;
}

EngineTables EngineTables::pack(Packer& packer, const EngineTables& shared, const std::vector<Tensor>& tensors,
                                const Group& group, std::int64_t t) {
    std::vector<cuda::Tile> tiles;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const std::int64_t tile = tensors[i].dtype == Dtype::float32 ? cuda::dense_tile : cuda::tile;
        for (std::int64_t k = 0; k * tile < tensors[i].size; ++k)
            tiles.push_back({static_cast<std::int32_t>(i), static_cast<std::uint32_t>(k)});
    }
    cuda::Constants constants{{}, group.grad_scale, t};
    adamcore::detail::prepare_in<AdamW, float>(group.hyper, {t}, nullptr, constants.step.bytes);
    std::vector<bias::Powers> powers;
    const auto hyper = adamcore::detail::hyper_of<AdamW>(group.hyper);
    for (int k = 0; k < rule::max_decays; ++k) powers.push_back(powers_before(rule::decay_of<AdamW>(hyper, k), t));

    EngineTables tables = shared;
    tables.blocks = static_cast<std::int64_t>(tiles.size());
    tables.tiles = packer.add(tiles);
    tables.clocks = packer.add(std::vector<cuda::Clock>{{t - 1, 0, Dtype::float32, true}});
    tables.constants = packer.add(std::vector<cuda::Constants>{constants});
    tables.control = packer.add(std::vector<cuda::Control>{{1.0, 0}});
    tables.course = packer.add(std::vector<cuda::Course>{{}});
    tables.powers = packer.add(powers);
    return tables;
}

cuda::UpdateArguments EngineTables::update(std::uint64_t seed) const {
    cuda::UpdateArguments a{};
    a.tiles = tiles;
    a.tensors = tensors;
    a.grads = grads;
    a.constants = constants;
    a.control = control;
    a.scale = 1;
    a.limit = Treatment::no_limit;
    a.seed = seed;
    return a;
}

cuda::UpdateArguments EngineTables::update(std::uint64_t seed, const AdamW::Hyper& hyper, std::int64_t t) const {
    cuda::UpdateArguments a = update(seed);
    a.constants = nullptr;
    a.control = nullptr;
    new (a.hosted[0].step.bytes) AdamW::Step<float>(rule::prepare<AdamW, float>(hyper, {t}));
    a.hosted[0].grad_scale = 1;
    a.hosted[0].count = t;
    return a;
}

cuda::DecideArguments EngineTables::decide() const {
    cuda::DecideArguments a{};
    a.look.loss_scale = 1;
    a.decides = true;
    a.control = control;
    a.clocks = clocks;
    a.ticks = ticks;
    a.clock_count = 1;
    a.groups = groups;
    a.constants = constants;
    a.powers = powers;
    a.course = course;
    return a;
}

}  // namespace adamcore::experiments

#include "program/problem.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "common/variant.hpp"

namespace adamcore::experiments {
namespace {

/// Elements that arrays begin at multiples of: 256 bytes and more.
constexpr std::int64_t alignment = 128;
/// More than a variant has steps in a trial.
constexpr std::int64_t many_sets = 8192;

std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }
std::int64_t blocks_for(std::int64_t size, std::int64_t each) { return (size + each - 1) / each; }

}  // namespace

StorageFacts facts_of(Storage storage) {
    constexpr Dtype half = Dtype::bfloat16, whole = Dtype::float32;
    switch (storage) {
        case Storage::master: return {"master", half, half, whole, WeightPolicy::master, 30};
        case Storage::remainder: return {"remainder", half, half, half, WeightPolicy::remainder, 18.25};
        case Storage::stochastic: return {"stochastic", half, half, half, WeightPolicy::stochastic, 14};
        case Storage::dense: break;
    }
    return {"dense", whole, whole, whole, WeightPolicy::plain, 28};
}

bool ProblemRequest::operator==(const ProblemRequest& o) const {
    return sizes == o.sizes && storage == o.storage && params == o.params && grads == o.grads && row == o.row &&
           sets == o.sets && misaligned == o.misaligned && where == o.where && tiles == o.tiles && leaves == o.leaves;
}

std::int64_t ProblemRequest::elements() const { return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}); }

Problem::Problem(const ProblemRequest& request) : request_(request), facts_(facts_of(request.storage)) {
    place_arrays();
    refill();
    pack_tables(1);
}

void Problem::place_arrays() {
    const auto item = [](Dtype dtype) { return static_cast<double>(size_of(dtype)); };
    const std::array<std::size_t, 2> bits = extra_bits(facts_.weights);
    item_ = {item(facts_.param),
             item(facts_.grad),
             item(facts_.state),
             item(facts_.state),
             static_cast<double>(bits[0]) / 8,
             static_cast<double>(bits[1]) / 8};
    // Room for a start that is moved by up to eight elements.
    const std::int64_t slack = request_.misaligned ? 16 : 0;
    for (const std::int64_t size : request_.sizes) {
        starts_.push_back(set_elements_);
        set_elements_ += round_up(size + slack, alignment);
    }
    for (int region = 0; region < regions; ++region) {
        const double bytes = item_[region] * static_cast<double>(set_elements_ * request_.sets);
        buffers_[region] = Buffer(request_.where, static_cast<std::size_t>(bytes));
    }
}

std::byte* Problem::array(Region region, std::int64_t set, std::size_t tensor) const {
    if (item_[region] == 0) return nullptr;
    const auto i = static_cast<std::int64_t>(tensor);
    std::int64_t shift = 0;
    // Parameter and state alike, as the engine allocates state; the gradient sometimes otherwise. Ties are in bytes.
    if (request_.misaligned && region != ties) shift = i % 8 + (region == grad && i % 3 == 0 ? 1 : 0);
    const std::int64_t element = set * set_elements_ + starts_[tensor] + shift;
    return buffers_[region].data() + static_cast<std::int64_t>(item_[region] * static_cast<double>(element));
}

std::vector<Tensor> Problem::tensors(std::int64_t set) const {
    std::vector<Tensor> tensors(request_.sizes.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        Tensor& t = tensors[i];
        t.param = array(param, set, i);
        t.grad = array(grad, set, i);
        t.size = request_.sizes[i];
        t.dtype = facts_.param;
        t.grad_dtype = facts_.grad;
        t.state_dtype = facts_.state;
        t.weights = facts_.weights;
        t.state[0] = array(first, set, i);
        t.state[1] = array(second, set, i);
        t.extra[0] = array(kept, set, i);
        t.extra[1] = array(ties, set, i);
        t.number = static_cast<std::uint32_t>(i * 2654435761u);
    }
    return tensors;
}

Problem::TileTables Problem::pack_tiles(Packer& packer, const std::vector<Tensor>& tensors, int tile) const {
    std::vector<Tile> tiles;
    std::vector<Row> rows;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const Tensor& t = tensors[i];
        const auto number = static_cast<std::int32_t>(i);
        const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(t.param) / sizeof(float));
        const std::int64_t head = std::min((4 - place % 4) % 4, t.size);
        for (std::int64_t k = 0; k < blocks_for(t.size, tile); ++k) {
            tiles.push_back({number, static_cast<std::uint32_t>(k)});
            if (request_.storage != Storage::dense) continue;
            const std::int64_t begin = head + k * tile;
            const std::int64_t count = std::max<std::int64_t>(0, std::min<std::int64_t>(tile, t.size - begin));
            const auto at = [&](void* data) { return static_cast<float*>(data) + begin; };
            rows.push_back({at(t.param), at(t.state[0]), at(t.state[1]), begin, number,
                            static_cast<std::int32_t>(count), 0, k == 0 ? static_cast<std::int32_t>(head) : 0});
        }
    }
    return {packer.add(tiles), packer.add(rows), static_cast<std::int64_t>(tiles.size())};
}

Problem::LeafTables Problem::pack_leaves(Packer& packer, int leaves) const {
    std::vector<LeafTile> tiles;
    for (std::size_t i = 0; i < request_.sizes.size(); ++i) {
        for (std::int64_t k = 0; k < sums::leaves_of(request_.sizes[i]); k += leaves)
            tiles.push_back({static_cast<std::int32_t>(i), 0, k});
    }
    return {packer.add(tiles), packer.add(std::vector<norm::Squares>(tiles.size())),
            static_cast<std::int64_t>(tiles.size())};
}

Problem::SetTables Problem::pack_set(Packer& packer, std::int64_t set, std::int64_t t) const {
    const std::vector<Tensor> tensors = this->tensors(set);
    std::vector<const void*> grads;
    for (const Tensor& tensor : tensors) grads.push_back(tensor.grad);
    Group group{detail::adamw_place, {}, 1.0};
    group.hyper = {hyper.lr, hyper.beta1, hyper.beta2, hyper.eps, hyper.weight_decay};
    Constants constants{{}, 1.0, t};
    before::prepare_in<before::AdamW, float>(group.hyper, t, constants.step);

    SetTables tables{};
    tables.control = packer.add(std::vector<Control>{{1.0, 0, 0}});
    tables.completed = packer.add(std::vector<std::int64_t>{0});
    tables.ticks = packer.add(std::vector<std::int32_t>{static_cast<std::int32_t>(detail::adamw_place) + 1});
    tables.clocks = packer.add(std::vector<Clock>{{t - 1, 0, Dtype::float32}});
    tables.groups = packer.add(std::vector<Group>{group});
    tables.constants = packer.add(std::vector<Constants>{constants});
    // As they are 15 times of 16.
    const std::int64_t prefix = t >> PowerCache::bits;
    const auto known = [&](double beta) {
        return prefix == 0 ? PowerCache{} : PowerCache{beta, prefix, detail::power_of(beta, prefix)};
    };
    tables.powers = packer.add(std::vector<PowerCache>{known(hyper.beta1), known(hyper.beta2)});
    tables.tensors = packer.add(tensors);
    tables.grads = packer.add(grads);
    EngineTables shared{};
    shared.tensors = tables.tensors;
    shared.grads = tables.grads;
    shared.groups = tables.groups;
    shared.ticks = tables.ticks;
    tables.engine = EngineTables::pack(packer, shared, tensors, group, t);
    for (const int tile : request_.tiles) tables.tiles.push_back(pack_tiles(packer, tensors, tile));
    for (const int leaves : request_.leaves) tables.leaves.push_back(pack_leaves(packer, leaves));
    return tables;
}

void Problem::pack_tables(std::int64_t t) {
    Packer measure(nullptr, nullptr);
    pack_set(measure, 0, t);
    table_stride_ = measure.used();
    if (!tables_.data()) tables_ = Buffer(request_.where, static_cast<std::size_t>(table_stride_ * request_.sets));
    std::vector<std::byte> image(tables_.size());
    sets_.clear();
    for (std::int64_t set = 0; set < request_.sets; ++set) {
        Packer packer(image.data() + set * table_stride_, tables_.data() + set * table_stride_);
        sets_.push_back(pack_set(packer, set, t));
    }
    tables_.write(image);
}

namespace {

std::size_t place_of(const std::vector<int>& values, int wanted) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] == wanted) return i;
    }
    throw std::logic_error("no tables were made for " + std::to_string(wanted));
}

}  // namespace

UpdateArguments Problem::update(std::int64_t set, int tile) const {
    const SetTables& s = sets_[static_cast<std::size_t>(set)];
    const TileTables& tiles = s.tiles[place_of(request_.tiles, tile)];
    return {tiles.tiles, tiles.rows,          tiles.blocks, s.tensors, s.grads, s.constants, s.control,
            nullptr,     Treatment::no_limit, false,        seed,      {},      1.0f};
}

std::int64_t Problem::update_blocks(int tile) const { return sets_[0].tiles[place_of(request_.tiles, tile)].blocks; }

DecideArguments Problem::decide(std::int64_t set) const {
    const SetTables& s = sets_[static_cast<std::size_t>(set)];
    return {s.control, s.clocks, s.ticks, 1, s.groups,   s.constants, s.completed, s.powers,
            false,     true,     nullptr, 0, Clip::none, 0,           1.0};
}

MeasureArguments Problem::measure(std::int64_t set, int leaves) const {
    const SetTables& s = sets_[static_cast<std::size_t>(set)];
    const LeafTables& tables = s.leaves[place_of(request_.leaves, leaves)];
    return {tables.tiles, s.tensors, s.grads, tables.sums};
}

std::int64_t Problem::measure_blocks(int leaves) const {
    return sets_[0].leaves[place_of(request_.leaves, leaves)].blocks;
}

void Problem::refill() {
    fill(param, request_.params);
    fill(grad, request_.grads);
    buffers_[first].clear();
    buffers_[second].clear();
    if (facts_.weights == WeightPolicy::master) {
        fill(kept, request_.params);  // of the same numbers, and so what the parameter is rounded from
    } else if (item_[kept] > 0) {
        fill(kept, request_.params == Filling::wild_params ? Filling::wild_bits : Filling::bits);
    }
    buffers_[ties].clear();
}

void Problem::fill(Region region, Filling filling) const {
    const Dtype dtype = region == kept ? Dtype::float32 : region == grad ? facts_.grad : facts_.param;
    const FillArguments arguments{
        buffers_[region].data(),     set_elements_ * request_.sets, dtype, filling, request_.row,
        region == grad ? 0x6adu : 1u};
    run(fill_kernel(), blocks_for(arguments.count, Fill::per_block), &arguments);
}

void Problem::run(const Kernel& kernel, std::int64_t blocks, const void* arguments) const {
    if (request_.where == On::host) return run_on_host(kernel, blocks, arguments);
    launch(kernel, blocks, arguments);
}

void Problem::set_step(std::int64_t t) { pack_tables(t); }

void Problem::queue_clocks(std::int64_t t) const {
    ResetArguments arguments{sets_[0].clocks, sets_[0].engine.clocks, nullptr, table_stride_, request_.sets, t - 1, {}};
    // Of many sets none is decided twice, and what is written here would be found in a cache.
    if (request_.sets < many_sets) arguments.powers = sets_[0].engine.powers;
    arguments.known[0] = powers_before(hyper.beta1, t);
    arguments.known[1] = powers_before(hyper.beta2, t);
    run(reset_kernel(), blocks_for(request_.sets, Reset::threads), &arguments);
}

std::vector<std::byte> Problem::written() const {
    std::vector<std::byte> all;
    for (const Region region : {param, first, second, kept, ties}) {
        const std::vector<std::byte> some = buffers_[region].read();
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

}  // namespace adamcore::experiments

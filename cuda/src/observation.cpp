// Statistics of a step: room for them, and what follows from the sums.

#include "adamcore/cuda/statistics/observation.hpp"

#include <algorithm>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/rule/make_info.hpp"
#include "adamcore/rule_registry.hpp"
#include "adamcore/weights/passes.hpp"

namespace adamcore::cuda {
namespace {

/// The place of weight_pass::Average, which with a share of 1 copies weights.
constexpr std::size_t average = adamcore::detail::index_in<weight_pass::Average>(weight_pass::All{});

/// A moment of a tensor, if its rule has it.
ObservedArray moment_of(const Tensor& tensor, const RuleInfo& rule, int slot, const ObservedWalks& walks) {
    if (slot < 0) return {};
    const Dtype dtype = slot_dtype(tensor, rule.slots[slot]);
    return {tensor.state[slot], dtype, is_half(dtype) ? walks.halves : walks.whole};
}

}  // namespace

Observation::Observation(int device, Pool& pool, const std::vector<Entry>& entries, const std::vector<Group>& groups,
                         const std::vector<ObservedWalks>& walks, unsigned parts, Stream stream)
    : device_(device), seen_(entries.size()) {
    const DeviceScope scope(device);
    arguments_.parts = parts;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Tensor& tensor = entries[i].tensor;
        Seen& seen = seen_[i];
        seen.size = tensor.size;
        if (!is_active(entries[i])) continue;
        const Group& group = groups[static_cast<std::size_t>(tensor.group)];
        seen.rule = &all_rules()[rule_of(group, tensor)];
        seen.is_negated = group.grad_scale < 0;
        seen.grad_dtype = tensor.grad_dtype;
        seen.leaf = leaves_;
        leaves_ += sums::leaves_of(tensor.size);
    }
    results_size_ = lay_out_results({});
    results_ = pool.take(results_size_);
    lay_out_results({nullptr, results_->data()});
    std::vector<ObservedTensor> observed;
    scratch_ = std::make_unique<Block>(device, lay_out_scratch(entries, {}, observed), stream);
    lay_out_scratch(entries, {nullptr, scratch_->data()}, observed);
    std::vector<std::byte> host(lay_out_tables(entries, walks, observed, {}));
    tables_ = std::make_unique<Block>(device, host.size(), stream);
    lay_out_tables(entries, walks, observed, {host.data(), tables_->data()});
    Staging::of(device).send(tables_->data(), host.data(), host.size(), stream);
    const std::vector<double> whole(groups.size(), 1.0);
    if (!copied_.empty()) copy_ = std::make_unique<WeightPass>(device, average, copied_, whole, 0, stream);
}

/// They are read with one copy.
std::size_t Observation::lay_out_results(Packer packer) {
    arguments_.seen = packer.reserve<ObservedControl>(1);
    facts_ = packer.reserve<ClockFacts>(seen_.size());
    arguments_.facts = facts_;
    arguments_.early = packer.reserve<EarlySums>(static_cast<std::size_t>(leaves_));
    arguments_.late = packer.reserve<LateSums>(static_cast<std::size_t>(leaves_));
    return packer.size();
}

/// Arrays that are released when the step is done: weights before and after it, and parameters before it.
std::size_t Observation::lay_out_scratch(const std::vector<Entry>& entries, Packer packer,
                                         std::vector<ObservedTensor>& observed) {
    const bool keeps = (arguments_.parts & (statistics::weights | statistics::losses)) != 0;
    observed.clear();
    copied_.clear();
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Tensor& tensor = entries[i].tensor;
        if (!seen_[i].rule) continue;
        ObservedTensor each{};
        each.place = static_cast<std::int32_t>(i);
        each.size = tensor.size;
        const auto size = static_cast<std::size_t>(tensor.size);
        const bool is_stored = is_half(tensor.dtype);
        if (keeps) {
            const Dtype type = compute_dtype(tensor.dtype);
            void* const before = packer.reserve<std::byte>(size * size_of(type));
            copied_.push_back(weight_pass::weights_of(tensor, before));
            each.before = {before, type, {}};
            // What updates compute in float32 and store as it is need not be kept.
            each.after = is_stored ? ObservedArray{packer.reserve<float>(size), type, {}} : ObservedArray{};
        }
        each.loses = is_stored && (arguments_.parts & statistics::losses) != 0;
        if (each.loses) each.stored = packer.reserve<float>(size);
        observed.push_back(each);
    }
    return packer.size();
}

std::size_t Observation::lay_out_tables(const std::vector<Entry>& entries, const std::vector<ObservedWalks>& walks,
                                        std::vector<ObservedTensor> observed, Packer packer) {
    constexpr std::int64_t leaves = ObserveLeaves<ObserveEarly>::leaves;
    std::vector<ObservedLeaves> blocks;
    std::vector<float*> computed(entries.size());
    for (std::size_t k = 0; k < observed.size(); ++k) {
        ObservedTensor& each = observed[k];
        const auto i = static_cast<std::size_t>(each.place);
        const Tensor& tensor = entries[i].tensor;
        const ObservedWalks on_device{packed(walks[i].grad, packer), packed(walks[i].param, packer),
                                      packed(walks[i].halves, packer), packed(walks[i].whole, packer)};
        each.grad = on_device.grad;
        each.param = {tensor.param, tensor.dtype, on_device.param};
        each.first = moment_of(tensor, *seen_[i].rule, seen_[i].rule->first_moment, on_device);
        each.second = moment_of(tensor, *seen_[i].rule, seen_[i].rule->second_moment, on_device);
        each.before.axes = on_device.whole;
        if (each.after.data) {
            computed[i] = static_cast<float*>(const_cast<void*>(each.after.data));
            each.after.axes = on_device.whole;
        } else {
            each.after = each.param;
        }
        for (std::int64_t leaf = 0; leaf < sums::leaves_of(tensor.size); leaf += leaves)
            blocks.push_back({static_cast<std::int32_t>(k), leaf / leaves, seen_[i].leaf + leaf});
    }
    blocks_ = static_cast<std::int64_t>(blocks.size());
    arguments_.blocks = packer.add(blocks);
    arguments_.observed = packer.add(observed);
    computed_ = packer.add(computed);
    return packer.size();
}

void Observation::queued(const std::vector<Entry>& entries, std::shared_ptr<const Sequence> steps) {
    for (std::size_t i = 0; i < entries.size(); ++i) seen_[i].clock = entries[i].clock;
    steps_ = std::move(steps);
    copied_.clear();
    copy_.reset();
    scratch_.reset();
    tables_.reset();
}

statistics::Sums Observation::sums_of(const Seen& seen, const EarlySums* early, const LateSums* late) const {
    std::vector<statistics::Sums> leaves(static_cast<std::size_t>(sums::leaves_of(seen.size)));
    for (std::size_t k = 0; k < leaves.size(); ++k) {
        const EarlySums& before = early[seen.leaf + static_cast<std::int64_t>(k)];
        const LateSums& after = late[seen.leaf + static_cast<std::int64_t>(k)];
        statistics::Sums& leaf = leaves[k];
        const double scale = seen.grad_dtype == Dtype::float64 ? norm::second_scale<double>(before.squares) : 1.0;
        const double scaled = scale < 1 ? before.small_squares : before.large_squares;
        leaf.grads = scale == 1 ? norm::Squares{before.squares, 0} : norm::scaled_squares(scaled, scale);
        leaf.products = before.products;
        leaf.firsts = before.firsts;
        leaf.largest = before.largest;
        leaf.zeros = before.zeros;
        leaf.weights = after.weights;
        leaf.updates = after.updates;
        leaf.seconds = after.seconds;
        leaf.lost = after.lost;
        leaf.below = after.below;
    }
    return sums::sum_pairs(leaves.data(), static_cast<std::int64_t>(leaves.size()));
}

Observation::Result Observation::read() const {
    const std::size_t count = seen_.size();
    Result result{std::vector<double>(statistics::column_count * count), 0};
    if (leaves_ == 0) {  // no kernel has run
        for (std::size_t i = 0; i < count; ++i) statistics::write_columns({}, {}, result.table.data() + i, count);
        return result;
    }
    std::vector<std::byte> host(results_size_);
    const DeviceScope scope(device_);
    copy_to_host(host.data(), results_->data(), host.size(), steps_->latest());
    const auto on_host = [&](const auto* array) {
        return reinterpret_cast<decltype(array)>(host.data() +
                                                 (reinterpret_cast<const std::byte*>(array) - results_->data()));
    };
    const ObservedControl& control = *on_host(arguments_.seen);
    const ClockFacts* const facts = on_host(facts_);
    std::vector<norm::Squares> squares;
    const cpu::FloatEnvironment environment;
    for (std::size_t i = 0; i < count; ++i) {
        const Seen& seen = seen_[i];
        statistics::Sums sums;
        statistics::Facts known;
        if (seen.rule) {
            sums = sums_of(seen, on_host(arguments_.early), on_host(arguments_.late));
            squares.push_back(sums.grads);
            const ClockFacts& of_clock = facts[seen.clock];
            known.size = seen.size;
            known.unscaling = {control.number, control.power};
            known.is_negated = seen.is_negated;
            known.is_updated = control.skip != Control::skipped;
            known.has_first = seen.rule->first_moment >= 0 && !(seen.rule->begins && of_clock.begins != 0);
            known.has_second = seen.rule->second_moment >= 0;
            known.second = of_clock.second;
        }
        statistics::write_columns(sums, known, result.table.data() + i, count);
    }
    const norm::Squares total = sums::sum_pairs(squares.data(), static_cast<std::int64_t>(squares.size()));
    result.norm = norm::root(total, {control.number, control.power});
    return result;
}

}  // namespace adamcore::cuda

#include "adamcore/cuda/plan.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "adamcore/cuda/reduce.hpp"
#include "adamcore/rule_registry.hpp"

namespace adamcore::cuda {
namespace {

/// Reserves memory for a rule's temporaries of a tensor, which follow its slots.
void add_temporaries(const RuleInfo& rule, Tensor& tensor, Packer& packer) {
    for (std::size_t k = 0; k < rule.temporary_count; ++k) {
        const auto size = static_cast<std::size_t>(slot_size(tensor, rule.temporaries[k]));
        tensor.state[rule.slot_count + k] =
            packer.reserve<std::byte>(size * size_of(slot_dtype(tensor, rule.temporaries[k])));
    }
}

/// The table of tensors, and the launches that update them.
void plan_updates(const PlanRequest& request, Packer& packer, Plan& plan) {
    std::vector<Tensor> tensors;
    std::map<std::tuple<std::size_t, Dtype, bool>, std::vector<Tile>> parts;
    const Scale* factors = plan.unit_factors;
    for (const Entry& entry : request.entries) {
        Tensor tensor = entry.tensor;
        const std::size_t rule = rule_of(request.groups[static_cast<std::size_t>(tensor.group)], tensor);
        const Dtype type = compute_dtype(tensor.dtype);
        const bool dense = is_dense(request, tensor);
        plan.has_own_constants |= all_rules()[rule].has_own_constants;
        plan.has_passes |= all_rules()[rule].pass_count > 0;
        add_temporaries(all_rules()[rule], tensor, packer);
        std::vector<Tile>& tiles = parts[{rule, type, dense}];
        for (std::int64_t i = 0; i < blocks_for(tensor.size, dense ? dense_tile : tile); ++i)
            tiles.push_back({static_cast<std::int32_t>(tensors.size()), static_cast<std::uint32_t>(i)});
        tensor.group = entry.clock;
        tensor.grad = nullptr;
        tensor.layout = packed_layout(tensor, packer);
        if (request.clip == Clip::units && is_active(entry)) {
            tensor.unit_factors = factors;
            tensor.unit_size = tensor.size / entry.units;
            factors += entry.units;
        }
        tensors.push_back(tensor);
    }
    plan.tensors = packer.add(tensors);
    for (const auto& [key, tiles] : parts) {
        const auto& [rule, type, dense] = key;
        if (!tiles.empty())
            plan.updates.push_back({rule, type, dense, packer.add(tiles), static_cast<std::int64_t>(tiles.size())});
        // Clocks of empty tensors advance too.
        if (plan.kinds.empty() || plan.kinds.back() != std::pair(rule, type)) plan.kinds.emplace_back(rule, type);
    }
    if (plan.kinds.empty()) plan.kinds.emplace_back(0, Dtype::float32);
}

/// Plans the measuring of arrays, leaf by leaf, as they are added.
class LeafPlan {
public:
    explicit LeafPlan(Packer& packer) : packer_(packer) {}

    void add(const Tensor& tensor, std::int32_t place, bool of_param, const Span& span, std::int64_t units) {
        const auto reading = static_cast<std::int32_t>(readings_.size());
        const std::int64_t size = tensor.size / units;
        readings_.push_back({place, of_param ? tensor.dtype : tensor.grad_dtype, of_param, size, span.stride,
                             packed(span.axes, packer_)});
        for (std::int64_t unit = 0; unit < units; ++unit) {
            for (std::int64_t i = 0; i < blocks_for(sums::leaves_of(size), Measure::leaves); ++i)
                leaves_.push_back({reading, static_cast<std::int32_t>(unit), i});
            starts_.push_back(static_cast<std::int64_t>(leaves_.size()));
        }
    }

    void finish(Plan& plan) {
        plan.readings = packer_.add(readings_);
        plan.leaves = packer_.add(leaves_);
        plan.leaf_blocks = static_cast<std::int64_t>(leaves_.size());
        plan.leaf_sums = packer_.reserve<norm::Squares>(leaves_.size());
        plan.fold = plan_fold<norm::Squares>(starts_, packer_);
        if (plan.fold.blocks == 0) plan.fold.sums = plan.leaf_sums;
    }

private:
    Packer& packer_;
    std::vector<Reading> readings_;
    std::vector<LeafTile> leaves_;
    std::vector<std::int64_t> starts_{0};
};

/// Plans the measuring of tensors that have a gradient, unit by unit or whole.
void plan_measuring(const PlanRequest& request, Packer& packer, Plan& plan) {
    const bool by_units = request.clip == Clip::units;
    const auto& entries = request.entries;
    LeafPlan leaves(packer);
    for (const bool of_param : {true, false}) {
        if (of_param && !by_units) continue;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            if (is_active(entries[i]))
                leaves.add(entries[i].tensor, static_cast<std::int32_t>(i), of_param,
                           of_param ? entries[i].measured_param : entries[i].measured_grad,
                           by_units ? entries[i].units : 1);
        }
    }
    leaves.finish(plan);

    std::vector<Measured> measured;
    std::vector<std::int64_t> units{0};
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (!is_active(entries[i])) continue;
        measured.push_back({static_cast<std::int32_t>(i), entries[i].tensor.narrows_grad() ? 1 : 0});
        units.push_back(units.back() + entries[i].units);
    }
    plan.measured = packer.add(measured);
    plan.measured_count = static_cast<std::int64_t>(measured.size());
    plan.totals = packer.reserve<norm::Squares>(measured.size());
    if (plan.measured_count > Fold::capacity) {
        plan.total_fold = plan_fold<norm::Squares>({0, plan.measured_count}, packer);
        plan.look_blocks = blocks_for(plan.measured_count, threads);
        plan.culprits = packer.reserve<std::int32_t>(static_cast<std::size_t>(plan.look_blocks));
    }
    if (request.clip == Clip::norm_per_tensor) plan.tensor_factors = packer.reserve<Scale>(entries.size());
    if (!by_units) return;
    plan.units = units.back();
    plan.unit_squares = packer.reserve<norm::Squares>(static_cast<std::size_t>(plan.units));
    plan.unit_factors = packer.reserve<Scale>(static_cast<std::size_t>(plan.units));
    plan.unit_fold = plan_fold<norm::Squares>(units, packer);
    if (plan.unit_fold.blocks == 0) plan.unit_fold.sums = plan.unit_squares;
}

}  // namespace

bool is_dense(const PlanRequest& request, const Tensor& tensor) {
    const Dtype type = compute_dtype(tensor.dtype);
    return tensor.dtype == type && tensor.grad_dtype == type && tensor.state_dtype == type && !tensor.layout &&
           !request.limits && request.clip != Clip::units;
}

template <class Term>
FoldPlan<Term> plan_fold(const std::vector<std::int64_t>& starts, Packer& packer) {
    /// The number of terms that one thread may add up alone.
    constexpr std::int64_t few = 8, capacity = FoldOf<Term>::capacity;
    std::vector<FoldTile> tiles;
    std::vector<std::int64_t> first{0};
    std::int64_t most = 0;
    for (std::size_t k = 0; k + 1 < starts.size(); ++k) {
        for (std::int64_t at = starts[k]; at < starts[k + 1]; at += capacity)
            tiles.push_back({at, std::min(capacity, starts[k + 1] - at)});
        first.push_back(static_cast<std::int64_t>(tiles.size()));
        most = std::max(most, starts[k + 1] - starts[k]);
    }
    if (most <= few) return {nullptr, 0, nullptr, packer.add(starts)};
    return {packer.add(tiles), static_cast<std::int64_t>(tiles.size()), packer.reserve<Term>(tiles.size()),
            packer.add(first)};
}

template FoldPlan<norm::Squares> plan_fold(const std::vector<std::int64_t>&, Packer&);
template FoldPlan<double> plan_fold(const std::vector<std::int64_t>&, Packer&);

Axes packed(const Axes& axes, Packer& packer) {
    if (axes.count == 0) return {};
    const auto copy = [&](const std::int64_t* values) {
        return packer.add(std::vector<std::int64_t>(values, values + axes.count));
    };
    return {axes.count, copy(axes.shape), copy(axes.strides)};
}

const Layout* packed_layout(const Tensor& tensor, Packer& packer) {
    if (!tensor.layout) return nullptr;
    return packer.add(std::vector{Layout{packed(tensor.layout->param, packer), packed(tensor.layout->grad, packer)}});
}

Plan make_plan(const PlanRequest& request, Packer& packer) {
    Plan plan;
    if (request.measures) plan_measuring(request, packer, plan);
    plan_updates(request, packer, plan);
    plan_passes(request, packer, plan);
    return plan;
}

}  // namespace adamcore::cuda

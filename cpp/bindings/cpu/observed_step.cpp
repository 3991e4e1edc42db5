// Statistics of a step: what is observed while the arrays are in cache, and the columns that follow.

#include "cpu/observed_step.hpp"

#include <algorithm>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/rule_registry.hpp"
#include "cpu/dispatch.hpp"

namespace adamcore::python {
namespace {

const RuleInfo& rule_in(const Groups& groups, const Tensor& tensor) {
    return all_rules()[rule_of(groups[static_cast<std::size_t>(tensor.group)], tensor)];
}

/// Whether a pass of the rule changes its first moment, so that it must be read before.
bool changes_first_early(const RuleInfo& rule) {
    for (std::size_t k = 0; k < rule.pass_count; ++k) {
        if (rule.first_moment >= 0 && (rule.passes[k].writes & rule::slot(static_cast<std::size_t>(rule.first_moment))))
            return true;
    }
    return false;
}

}  // namespace

HostOptimizer::ObservedStep::ObservedStep(const HostOptimizer& optimizer, unsigned columns, bool measures)
    : optimizer_(optimizer),
      measures_(measures && optimizer.options_.clip != Clip::units),
      table_({static_cast<py::ssize_t>(statistics::column_count), static_cast<py::ssize_t>(optimizer.size())}),
      sizes_(static_cast<py::ssize_t>(optimizer.size())),
      numbers_(table_.mutable_data()),
      observed_(optimizer.size()),
      seconds_(optimizer.size()),
      permuted_(optimizer.size()),
      squares_(optimizer.active_.size()),
      cuts_(cpu::max_parts + 1) {
    std::int64_t* const sizes = sizes_.mutable_data();
    for (std::size_t i = 0; i < optimizer.size(); ++i) sizes[i] = optimizer.tensors_[i].size;
    const auto count = static_cast<std::int64_t>(optimizer.size());
    cut_parts_ = cpu::plan_step(optimizer.tensors_.data(), count, pool().size(), cuts_.data(), sums::leaf);
    std::int64_t leaves = 0;
    for (const std::size_t i : optimizer.active_) {
        leaves += sums::leaves_of(optimizer.tensors_[i].size);
        const Order& order = optimizer.forms_[i].order;
        if (!std::is_sorted(order.begin(), order.end())) permute(i);
    }
    leaves_.resize(static_cast<std::size_t>(leaves));
    rooms_.reset(new cpu::ObserverRoom[static_cast<std::size_t>(cut_parts_)]);
    // Sums of squares also tell whether gradients are finite.
    observer_.parts = statistics::parts_of(columns) | statistics::squares;
    if (measures_) observer_.parts &= ~static_cast<unsigned>(statistics::squares);
    observer_.kernels = &kernels().observation;
    observer_.measure = kernels().measure;
    observer_.fused = kernels().fused;
    observer_.tensors = observed_.data();
    observer_.rooms = rooms_.get();
    observer_.used_rooms = &used_rooms_;
}

void HostOptimizer::ObservedStep::permute(std::size_t i) {
    const Tensor& tensor = optimizer_.tensors_[i];
    const Form& form = optimizer_.forms_[i];
    const auto walk = [&](std::size_t item) {
        ArrayView view = view_of_param(tensor, form);
        const auto strides = dense_strides(view.ndim, view.shape, form.order, static_cast<Py_ssize_t>(item));
        view.dtype = item == 8 ? Dtype::float64 : item == 4 ? Dtype::float32 : Dtype::float16;
        view.strides = strides.data();
        return Walk(view, c_order(view.ndim));
    };
    const std::size_t item = size_of(compute_dtype(tensor.dtype));
    const std::size_t bytes = item * static_cast<std::size_t>(tensor.size);
    auto permuted = std::make_unique<Permuted>();
    permuted->halves = walk(2);
    permuted->whole = walk(item);
    permuted->before.reset(new std::byte[bytes]);
    permuted->after.reset(new std::byte[bytes]);
    permuted_[i] = std::move(permuted);
}

norm::Reading HostOptimizer::ObservedStep::moment(std::size_t i, int slot, const Permuted* permuted) const noexcept {
    if (slot < 0) return {};
    const Tensor& tensor = optimizer_.tensors_[i];
    const RuleInfo& rule = rule_in(optimizer_.groups_, tensor);
    const Dtype dtype = slot_dtype(tensor, rule.slots[slot]);
    Axes axes{};
    if (permuted) axes = is_half(dtype) ? permuted->halves.axes() : permuted->whole.axes();
    return {tensor.state[slot], tensor.size, dtype, axes};
}

void HostOptimizer::ObservedStep::look_at(std::size_t i) noexcept {
    const Tensor& tensor = optimizer_.tensors_[i];
    const RuleInfo& rule = rule_in(optimizer_.groups_, tensor);
    const Permuted* const permuted = permuted_[i].get();
    cpu::Observed& seen = observed_[i];
    seen.grads = optimizer_.grad_in_c_order(i);
    // A moment that begins with this gradient has nothing to agree with.
    if ((observer_.parts & statistics::agreement) != 0 && !(rule.begins && tensor.begins()))
        seen.firsts = moment(i, rule.first_moment, permuted);
    seen.seconds = moment(i, rule.second_moment, permuted);
    rule::Context context = cpu::detail::context_of(tensor);
    context.shared = const_cast<double*>(optimizer_.numbers_.data());  // described, not changed
    const Group& group = optimizer_.groups_[static_cast<std::size_t>(tensor.group)];
    seconds_[i] = rule.describe_second(group.hyper, tensor.dtype, context);
    seen.floor = statistics::floor_of(seconds_[i]);
    seen.is_early = permuted || changes_first_early(rule);
    if (!permuted) return;
    const auto in_c_order = [&](const void* data) {
        return norm::Reading{data, tensor.size, compute_dtype(tensor.dtype), permuted->whole.axes()};
    };
    seen.before = permuted->before.get();
    seen.after = permuted->after.get();
    seen.before_in_c_order = in_c_order(seen.before);
    seen.after_in_c_order = in_c_order(seen.after);
}

void HostOptimizer::ObservedStep::begin() noexcept {
    const cpu::FloatEnvironment environment;
    std::size_t leaf = 0;
    for (const std::size_t i : optimizer_.active_) {
        look_at(i);
        observed_[i].leaves = leaves_.data() + leaf;
        leaf += static_cast<std::size_t>(sums::leaves_of(optimizer_.tensors_[i].size));
    }
}

void HostOptimizer::ObservedStep::observe_grads() noexcept {
    begin();
    for (cpu::Observed& each : observed_) each.firsts = {};  // a change of rules may not have been committed
    cpu::observe_early(observer_, optimizer_.tensors_.data(), static_cast<std::int64_t>(optimizer_.size()), true,
                       pool());
}

double HostOptimizer::ObservedStep::finish(Scale unscaling, bool is_updated) noexcept {
    const cpu::FloatEnvironment environment;
    const std::size_t count = optimizer_.size();
    for (std::size_t i = 0; i < count; ++i) statistics::write_columns({}, {}, numbers_ + i, count);
    for (std::size_t at = 0; at < optimizer_.active_.size(); ++at) {
        const std::size_t i = optimizer_.active_[at];
        const Tensor& tensor = optimizer_.tensors_[i];
        statistics::Sums sums = sums::sum_pairs(observed_[i].leaves, sums::leaves_of(tensor.size));
        if (measures_) sums.grads = optimizer_.norms_.of(at);
        squares_[at] = sums.grads;
        statistics::Facts facts;
        facts.size = tensor.size;
        facts.unscaling = unscaling;
        facts.is_negated = optimizer_.groups_[static_cast<std::size_t>(tensor.group)].grad_scale < 0;
        facts.is_updated = is_updated;
        facts.has_first = observed_[i].firsts.data != nullptr;
        facts.has_second = observed_[i].seconds.data != nullptr;
        facts.second = seconds_[i];
        statistics::write_columns(sums, facts, numbers_ + i, count);
    }
    return norm::root(sums::sum_pairs(squares_.data(), static_cast<std::int64_t>(squares_.size())), unscaling);
}

}  // namespace adamcore::python

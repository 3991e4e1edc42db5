#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/plain_sums.hpp"
#include "support/plain_update.hpp"

/// A whole step as the contracts of rule.hpp and rule/pass.hpp have it: passes, sums, constants, and updates, one element
/// after the other.
namespace adamcore::test {

namespace detail {

/// A tensor in such a step.
class PlainTensor {
public:
    PlainTensor(const Plain& plain, const HyperValues& hyper, double group_scale, const Tensor& tensor, Scale scale,
                const Treatment& treatment, double* shared)
        : plain_(plain),
          hyper_(hyper),
          group_scale_(group_scale),
          tensor_(tensor),
          scale_(scale),
          treatment_(treatment),
          constants_(64) {
        const RuleInfo& info = plain.info;
        for (std::size_t k = 0; k < info.temporary_count; ++k) {
            temporaries_.emplace_back(static_cast<std::size_t>(slot_size(tensor, info.temporaries[k])));
            tensor_.state[info.slot_count + k] = temporaries_.back().data();
        }
        for (std::size_t k = 0; k < info.slot_count; ++k) {
            if (info.slots[k].shape == rule::Shape::number) numbers_.push_back(*static_cast<double*>(tensor.state[k]));
        }
        context_.t = tensor.step;
        context_.begins = tensor.begins();
        context_.numbers = numbers_.data();
        context_.shared = shared;
        context_.size = tensor.size;
        context_.rows = tensor.rows;
        context_.columns = tensor.columns;
        info.prepare(hyper, context_, tensor.dtype, constants_.data());
        keep_numbers();
    }

    const PassInfo* pass(std::size_t k) const { return k < plain_.info.pass_count ? &plain_.info.passes[k] : nullptr; }
    const HyperValues& hyper() const { return hyper_; }
    bool takes_part() const { return plain_.info.takes_part(hyper_); }
    std::vector<double>& totals() { return totals_; }

    /// Runs pass k over the elements, and finishes its sums over rows and columns.
    void visit(std::size_t k) {
        const PassInfo& pass = plain_.info.passes[k];
        terms_.assign(pass.sum_count, {});
        for (std::int64_t i = 0; i < tensor_.size; ++i) {
            double found[rule::max_sums];
            plain_.of(tensor_).visit[k](constants_.data(), element(i), found);
            for (std::size_t s = 0; s < pass.sum_count; ++s) terms_[s].push_back(found[s]);
        }
        totals_.clear();
        for (const auto& each : terms_) totals_.push_back(pass.is_tabular ? 0 : plain_total(each));
        if (pass.row) finish_rows(pass);
        if (pass.column) finish_columns(pass);
    }

    void conclude(std::size_t k) {
        plain_.info.passes[k].conclude(hyper_, tensor_.dtype, context_, totals_.data(), constants_.data());
        keep_numbers();
    }

    void update() {
        for (std::int64_t i = 0; i < tensor_.size; ++i) plain_.of(tensor_).update(constants_.data(), element(i));
    }

private:
    Element element(std::int64_t i) const { return {tensor_, i, group_scale_, scale_, treatment_}; }

    void keep_numbers() {
        std::size_t number = 0;
        for (std::size_t k = 0; k < plain_.info.slot_count; ++k) {
            if (plain_.info.slots[k].shape == rule::Shape::number)
                *static_cast<double*>(tensor_.state[k]) = numbers_[number++];
        }
    }

    std::vector<void*> arrays(rule::Shape shape) const {
        std::vector<void*> found;
        const RuleInfo& info = plain_.info;
        for (std::size_t k = 0; k < info.slot_count + info.temporary_count; ++k) {
            const rule::Slot& slot = k < info.slot_count ? info.slots[k] : info.temporaries[k - info.slot_count];
            if (slot.shape == shape) found.push_back(tensor_.state[k]);
        }
        return found;
    }

    /// The sums of a row or a column, of terms that begin at `first`, `stride` apart.
    std::vector<double> sums(const PassInfo& pass, rule::Over over, std::int64_t first, std::int64_t count,
                             std::int64_t stride) const {
        std::vector<double> found;
        for (std::size_t s = 0; s < pass.sum_count; ++s) {
            if (pass.sums[s] != over) continue;
            std::vector<double> line;
            for (std::int64_t i = 0; i < count; ++i)
                line.push_back(terms_[s][static_cast<std::size_t>(first + i * stride)]);
            found.push_back(over == rule::Over::rows ? plain_total(line) : plain_column(line));
        }
        return found;
    }

    void finish_rows(const PassInfo& pass) const {
        const std::int64_t rows = tensor_.rows, columns = tensor_.columns;
        const std::vector<void*> lines = arrays(rule::Shape::rows);
        for (std::int64_t begin = 0; begin < tensor_.size / columns; begin += rows) {
            std::vector<double> found;
            for (std::int64_t row = begin; row < begin + rows; ++row)
                found.push_back(pass.row(tensor_.dtype, constants_.data(), context_,
                                         sums(pass, rule::Over::rows, row * columns, columns, 1).data(), lines.data(),
                                         row));
            const double total = plain_total(found);
            for (std::int64_t row = begin; row < begin + rows; ++row)
                pass.spread(tensor_.dtype, constants_.data(), context_, total, lines.data(), row);
        }
    }

    void finish_columns(const PassInfo& pass) const {
        const std::int64_t rows = tensor_.rows, columns = tensor_.columns;
        const std::vector<void*> lines = arrays(rule::Shape::columns);
        for (std::int64_t at = 0; at < tensor_.size / rows; ++at) {
            const std::int64_t first = at / columns * rows * columns + at % columns;
            pass.column(tensor_.dtype, constants_.data(), context_,
                        sums(pass, rule::Over::columns, first, rows, columns).data(), lines.data(), at);
        }
    }

    const Plain& plain_;
    const HyperValues& hyper_;
    double group_scale_;
    Tensor tensor_;
    Scale scale_;
    const Treatment& treatment_;
    std::vector<std::max_align_t> constants_;
    std::vector<std::vector<double>> temporaries_;
    std::vector<double> numbers_;
    rule::Context context_;
    std::vector<std::vector<double>> terms_;
    std::vector<double> totals_;
};

/// Adds up the sums over all tensors. Returns false if the step ends.
inline bool decide(std::vector<std::unique_ptr<PlainTensor>>& tensors, std::size_t k, double* numbers) {
    std::vector<PlainTensor*> found;
    for (const auto& each : tensors) {
        if (each->pass(k) && each->pass(k)->decide) found.push_back(each.get());
    }
    if (found.empty()) return true;
    const PassInfo& pass = *found[0]->pass(k);
    for (std::size_t s = 0; s < pass.sum_count; ++s) {
        if (pass.sums[s] != rule::Over::all) continue;
        std::vector<double> totals;
        for (PlainTensor* const each : found) totals.push_back(each->totals()[s]);
        for (PlainTensor* const each : found) each->totals()[s] = plain_pairs(totals);
    }
    const PlainTensor* first = found[0];
    for (std::size_t i = found.size(); i-- > 0;) first = found[i]->takes_part() ? found[i] : first;
    return pass.decide(first->hyper(), found[0]->totals().data(), numbers);
}

}  // namespace detail

/// One step with these rules, and the optimizer's `numbers`.
inline void step_plainly(const std::vector<Plain>& rules, const std::vector<cpu::Group>& groups,
                         const std::vector<Tensor>& tensors, const Treatment& treatment = {},
                         double* numbers = nullptr) {
    std::vector<std::unique_ptr<detail::PlainTensor>> active;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const Tensor& t = tensors[i];
        if (!t.grad || t.size == 0) continue;
        const cpu::Group& group = groups[static_cast<std::size_t>(t.group)];
        const std::size_t rule = t.columns == 0 ? rules[group.rule].info.for_vectors : group.rule;
        const Scale scale = treatment.tensor_factors ? treatment.scale * treatment.tensor_factors[i] : treatment.scale;
        active.push_back(std::make_unique<detail::PlainTensor>(rules[rule], group.hyper, group.grad_scale, t, scale,
                                                               treatment, numbers));
    }
    for (std::size_t k = 0; k < rule::max_passes; ++k) {
        for (const auto& each : active) {
            if (each->pass(k)) each->visit(k);
        }
        if (!detail::decide(active, k, numbers)) return;
        for (const auto& each : active) {
            if (each->pass(k) && !each->pass(k)->is_tabular) each->conclude(k);
        }
    }
    for (const auto& each : active) each->update();
}

/// One step with rules of rules::All.
inline void update_plainly(const std::vector<cpu::Group>& groups, const std::vector<Tensor>& tensors,
                           const Treatment& treatment = {}, double* numbers = nullptr) {
    static const std::vector<Plain> rules = plain_rules(rules::All{});
    step_plainly(rules, groups, tensors, treatment, numbers);
}

}  // namespace adamcore::test

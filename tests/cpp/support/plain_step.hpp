#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "support/plain_update.hpp"

/// Steps of rules with passes as the contracts of rule.hpp, rule/pass.hpp and sums.hpp have them, one element after the
/// other: what every engine equals, bit for bit.
namespace adamcore::test {

namespace detail {

/// The sum of a tensor's terms, or of a row's.
inline double sum_plainly(const std::vector<double>& terms) {
    std::vector<double> leaves;
    for (std::size_t begin = 0; begin < terms.size(); begin += sums::leaf) {
        sums::LaneSums lanes;
        for (std::size_t i = begin; i < std::min<std::size_t>(begin + sums::leaf, terms.size()); ++i)
            lanes.of[(i - begin) % sums::lanes] += terms[i];
        leaves.push_back(sums::total(lanes));
    }
    return sums::sum_pairs(leaves.data(), static_cast<std::int64_t>(leaves.size()));
}

/// The sum of a column's terms.
inline double sum_column_plainly(const std::vector<double>& terms) {
    std::vector<double> blocks;
    for (std::size_t begin = 0; begin < terms.size(); begin += sums::block) {
        blocks.push_back(0);
        for (std::size_t i = begin; i < std::min<std::size_t>(begin + sums::block, terms.size()); ++i)
            blocks.back() += terms[i];
    }
    return sums::sum_pairs(blocks.data(), static_cast<std::int64_t>(blocks.size()));
}

/// One tensor's part of a step.
struct PlainStep {
    virtual ~PlainStep() = default;
    virtual void prepare(double* shared) = 0;
    /// Visits all elements. Returns the totals of sums over tensors, if the pass has such sums.
    virtual std::vector<double> visit(std::size_t pass) = 0;
    virtual void conclude(std::size_t pass, const std::vector<double>& sums, double* shared) = 0;
    virtual bool decide(std::size_t pass, const HyperValues& hyper, const std::vector<double>& sums,
                        double* shared) = 0;
    virtual void update() = 0;
};

template <class Rule, class T,
          class = std::make_index_sequence<rule::ElementSlots<Rule>::size + rule::temporaries<Rule>.size()>>
class PlainStepOf;

template <class Rule, class T, std::size_t... I>
class PlainStepOf<Rule, T, std::index_sequence<I...>> : public PlainStep {
public:
    PlainStepOf(const cpu::Group& group, const Tensor& tensor, Scale scale, const Treatment& treatment)
        : group_(group), t_(tensor), scale_(scale), treatment_(treatment) {
        for (const rule::Slot& slot : rule::temporaries<Rule>)
            temporaries_.emplace_back(static_cast<std::size_t>(slot_size(t_, slot)));
    }

    void prepare(double* shared) override {
        step_ = rule::prepare<Rule, T>(hyper(), context(shared));
        keep_numbers();
    }

    std::vector<double> visit(std::size_t pass) override {
        std::vector<double> totals;
        with_pass(pass, [&](auto p) { totals = visit_by(p); });
        return totals;
    }

    void conclude(std::size_t pass, const std::vector<double>& sums, double* shared) override {
        with_pass(pass, [&](auto p) {
            using Pass = decltype(p);
            if constexpr (rule::is_tabular<Pass>) {
                conclude_lines<Pass>(shared);
            } else {
                Pass::conclude(hyper(), context(shared), sums.data(), step_);
                keep_numbers();
            }
        });
    }

    bool decide(std::size_t pass, const HyperValues& values, const std::vector<double>& sums, double* shared) override {
        bool goes_on = true;
        with_pass(pass, [&](auto p) {
            using Pass = decltype(p);
            if constexpr (rule::sums_over<Pass>(rule::Over::all))
                goes_on = Pass::decide(adamcore::detail::hyper_of<Rule>(values), sums.data(), shared);
        });
        return goes_on;
    }

    void update() override {
        for (std::int64_t i = 0; i < t_.size; ++i) {
            T state[count + 1];
            load(i, state);
            T weight = weight_at(i);
            with_gradient(rule::update_reads<Rule>, i, weight,
                          [&](auto g) { Rule::template update<T>(step_, g, weight, state[I]...); });
            keep(rule::update_writes<Rule>, i, state);
            if constexpr (sizeof(T) == 4) {
                t_.dtype == Dtype::bfloat16 ? keep_weight<bfloat16>(t_, i, treatment_.seed, weight)
                                            : keep_weight<float16>(t_, i, treatment_.seed, weight);
            } else {
                set_number(t_.param, t_.dtype, i, weight);
            }
        }
    }

private:
    static constexpr std::size_t count = sizeof...(I), slots = rule::ElementSlots<Rule>::size;

    static std::size_t place_of(std::size_t k) {
        return k < slots ? rule::ElementSlots<Rule>::index(k) : Rule::slots.size() + k - slots;
    }
    static rule::Slot slot_of(std::size_t k) {
        if constexpr (rule::temporaries<Rule>.size() > 0) {
            if (k >= slots) return rule::temporaries<Rule>[k - slots];
        }
        return Rule::slots[rule::ElementSlots<Rule>::index(k)];
    }

    template <class F>
    static void with_pass(std::size_t pass, F&& f) {
        with_pass(pass, f, rule::passes_of<Rule>{});
    }
    template <class F, class... P>
    static void with_pass(std::size_t pass, F& f, rule::Passes<P...>) {
        std::size_t k = 0;
        ((k++ == pass ? f(P{}) : void()), ...);
    }

    typename Rule::Hyper hyper() const { return adamcore::detail::hyper_of<Rule>(group_.hyper); }

    rule::Context context(double* shared) {
        std::size_t k = 0;
        for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot) {
            if (Rule::slots[slot].shape == rule::Shape::number) numbers_[k++] = *static_cast<double*>(t_.state[slot]);
        }
        rule::Context context;
        context.t = t_.step;
        context.begins = t_.begins();
        context.numbers = numbers_;
        context.shared = shared;
        context.size = t_.size;
        context.rows = t_.rows;
        context.columns = t_.columns;
        return context;
    }
    void keep_numbers() {
        std::size_t k = 0;
        for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot) {
            if (Rule::slots[slot].shape == rule::Shape::number) *static_cast<double*>(t_.state[slot]) = numbers_[k++];
        }
    }

    T weight_at(std::int64_t i) const {
        if constexpr (sizeof(T) == 4)
            return t_.dtype == Dtype::bfloat16 ? weight_of<bfloat16>(t_, i) : weight_of<float16>(t_, i);
        return number_at<T>(t_.param, t_.dtype, i);
    }

    template <class F>
    void with_gradient(unsigned reads, std::int64_t i, T weight, F&& f) const {
        if (!(reads & rule::grad)) return f(T(0));
        with_seen_gradient(step_, gradient_of<T>(t_, i, group_.grad_scale, scale_, treatment_), weight, f);
    }

    T* line_array(std::size_t k) {
        return k < slots ? static_cast<T*>(t_.state[place_of(k)]) : temporaries_[k - slots].data();
    }
    void load(std::int64_t i, T (&state)[count + 1]) {
        for (std::size_t k = 0; k < count; ++k) {
            const rule::Slot slot = slot_of(k);
            if (slot.shape == rule::Shape::elements) {
                state[k] = number_at<T>(t_.state[place_of(k)], slot_dtype(t_, slot), i);
            } else {
                const std::int64_t row = i / t_.columns;
                state[k] =
                    line_array(k)[slot.shape == rule::Shape::rows ? row : row / t_.rows * t_.columns + i % t_.columns];
            }
        }
    }
    void keep(unsigned writes, std::int64_t i, const T (&state)[count + 1]) const {
        for (std::size_t k = 0; k < count; ++k) {
            const rule::Slot slot = slot_of(k);
            if (slot.shape != rule::Shape::elements || !(writes & rule::slot(place_of(k)))) continue;
            Tensor t = t_;
            t.state_dtype = slot_dtype(t_, slot);
            keep_state(t, i, place_of(k), slot.is_nonnegative(), treatment_.seed, state[k]);
        }
    }

    template <class Pass>
    std::vector<double> visit_by(Pass) {
        terms_.assign(rule::sum_count<Pass>, {});
        for (std::int64_t i = 0; i < t_.size; ++i) {
            T state[count + 1];
            load(i, state);
            const T weight = weight_at(i);
            with_gradient(Pass::reads, i, weight, [&](auto g) {
                const auto terms = Pass::visit(step_, g, weight, state[I]...);
                for (std::size_t k = 0; k < terms_.size(); ++k) terms_[k].push_back(terms.of[k]);
            });
            keep(Pass::writes, i, state);
        }
        std::vector<double> totals;
        if (!rule::is_tabular<Pass>) {
            for (const auto& terms : terms_) totals.push_back(sum_plainly(terms));
        }
        return totals;
    }

    template <class Pass>
    void conclude_lines(double* shared) {
        if constexpr (rule::is_tabular<Pass>) {
            const rule::Context known = context(shared);
            const auto rows = static_cast<std::size_t>(t_.rows), columns = static_cast<std::size_t>(t_.columns);
            for (std::size_t matrix = 0; matrix < static_cast<std::size_t>(t_.size) / rows / columns; ++matrix) {
                const auto sums_of = [&](rule::Over over, std::size_t begin, std::size_t stride, std::size_t size) {
                    std::vector<double> sums;
                    for (std::size_t k = 0; k < terms_.size(); ++k) {
                        if (Pass::sums[k] != over) continue;
                        std::vector<double> own;
                        for (std::size_t i = 0; i < size; ++i)
                            own.push_back(terms_[k][matrix * rows * columns + begin + i * stride]);
                        sums.push_back(over == rule::Over::rows ? sum_plainly(own) : sum_column_plainly(own));
                    }
                    return sums;
                };
                std::vector<double> found;
                for (std::size_t row = 0; row < rows; ++row) {
                    const auto sums = sums_of(rule::Over::rows, row * columns, 1, columns);
                    with_line(rule::Shape::rows, matrix * rows + row,
                              [&](T* line) { found.push_back(Pass::row(step_, known, sums.data(), line)); });
                }
                const double total = sum_plainly(found);
                for (std::size_t row = 0; row < rows; ++row)
                    with_line(rule::Shape::rows, matrix * rows + row,
                              [&](T* line) { Pass::spread(step_, known, total, line); });
                for (std::size_t column = 0; column < columns; ++column) {
                    const auto sums = sums_of(rule::Over::columns, column, columns, rows);
                    with_line(rule::Shape::columns, matrix * columns + column,
                              [&](T* line) { Pass::column(step_, known, sums.data(), line); });
                }
            }
        }
    }
    template <class F>
    void with_line(rule::Shape shape, std::size_t at, F&& f) {
        T line[count + 1];
        std::size_t size = 0;
        for (std::size_t k = 0; k < count; ++k) {
            if (slot_of(k).shape == shape) line[size++] = line_array(k)[at];
        }
        f(line);
        size = 0;
        for (std::size_t k = 0; k < count; ++k) {
            if (slot_of(k).shape == shape) line_array(k)[at] = line[size++];
        }
    }

    const cpu::Group& group_;
    Tensor t_;
    Scale scale_;
    const Treatment& treatment_;
    typename Rule::template Step<T> step_{};
    double numbers_[max_numbers] = {};
    std::vector<std::vector<T>> temporaries_;
    std::vector<std::vector<double>> terms_;
};

using MakePlainStep = std::unique_ptr<PlainStep> (*)(const cpu::Group&, const Tensor&, Scale, const Treatment&);

template <class Rule, class T>
std::unique_ptr<PlainStep> make_plain_step(const cpu::Group& group, const Tensor& tensor, Scale scale,
                                           const Treatment& treatment) {
    return std::make_unique<PlainStepOf<Rule, T>>(group, tensor, scale, treatment);
}

template <class... Rules>
MakePlainStep plain_step_by(std::size_t rule, Dtype dtype, rule::List<Rules...>) {
    constexpr MakePlainStep narrow[] = {make_plain_step<Rules, float>...}, wide[] = {make_plain_step<Rules, double>...};
    return dtype == Dtype::float64 ? wide[rule] : narrow[rule];
}

}  // namespace detail

/// One step of tensors by one rule, or by that and its rule for vectors. `shared` are the optimizer's numbers.
inline void step_plainly(const std::vector<cpu::Group>& groups, const std::vector<Tensor>& tensors, double* shared,
                         const Treatment& treatment = {}) {
    struct Part {
        std::unique_ptr<detail::PlainStep> step;
        std::size_t passes;
    };
    std::vector<Part> parts;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const Tensor& tensor = tensors[i];
        if (!tensor.grad || tensor.size == 0) continue;
        const cpu::Group& group = groups[static_cast<std::size_t>(tensor.group)];
        const std::size_t rule = rule_of(group, tensor);
        const Scale scale = treatment.tensor_factors ? treatment.scale * treatment.tensor_factors[i] : treatment.scale;
        const auto make = detail::plain_step_by(rule, tensor.dtype, rules::All{});
        parts.push_back({make(group, tensor, scale, treatment), cpu::all_rules()[rule].pass_count});
    }
    for (Part& part : parts) part.step->prepare(shared);
    const RuleInfo& info = cpu::all_rules()[groups.front().rule];
    for (std::size_t pass = 0; pass < rule::max_passes; ++pass) {
        std::vector<std::vector<double>> totals;
        for (Part& part : parts) totals.push_back(pass < part.passes ? part.step->visit(pass) : std::vector<double>{});
        if (pass < info.pass_count && info.passes[pass].decide && !parts.empty()) {
            std::vector<double> all(info.passes[pass].sum_count);
            for (std::size_t k = 0; k < all.size(); ++k) {
                std::vector<double> own;
                for (const auto& each : totals) own.push_back(each[k]);
                all[k] = sums::sum_pairs(own.data(), static_cast<std::int64_t>(own.size()));
            }
            const cpu::Group* leader = &groups.front();
            for (const cpu::Group& group : groups) {
                if (!info.takes_part(group.hyper)) continue;
                leader = &group;
                break;
            }
            if (!parts.front().step->decide(pass, leader->hyper, all, shared)) return;
        }
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (pass < parts[i].passes) parts[i].step->conclude(pass, totals[i], shared);
        }
    }
    for (Part& part : parts) part.step->update();
}

}  // namespace adamcore::test

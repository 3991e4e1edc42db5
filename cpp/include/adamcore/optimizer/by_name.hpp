#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/optimizer/calls.hpp"
#include "adamcore/rule_registry.hpp"
#include "adamcore/tensor.hpp"

/// Rules that are chosen by their names when a program runs. Part of adamcore::kernels.
namespace adamcore {

/// Writes the first values of a tensor's state arrays, for programs that own them.
inline void start_state(const Tensor& tensor, const Group& group) {
    start_state(tensor, all_rules()[rule_of(group, tensor)], group.hyper, false);
}

/// An optimizer as Optimizer<Rule> is, with a rule that is chosen by its name, and with the best instruction set that the
/// processor has.
///
///     adamcore::NamedOptimizer opt("adamw", {{"lr", 1e-3}});
///     opt.add(weights, {rows, columns});
///     opt.step(weight_grads, adamcore::cpu::Threads{adamcore::cpu::usable_threads()});
class NamedOptimizer : public OptimizerCalls<NamedOptimizer> {
public:
    explicit NamedOptimizer(std::string_view rule, NamedNumbers hyper = {}) : OptimizerCalls(all_rules().data()) {
        groups().push_back(named_group(rule, hyper));
    }

    double hyper(std::string_view name, std::size_t group = 0) const {
        require_group(group);
        return hyper_of(group_data()[group], name);
    }
    /// Changes hyper-parameters, which may be done between steps: `opt.set_hyper({{"lr", 1e-4}})`.
    void set_hyper(NamedNumbers hyper, std::size_t group = 0) {
        require_group(group);
        adamcore::set_hyper(groups()[group], hyper);
    }

    /// Adds a group with other hyper-parameters, and returns its number. What `hyper` leaves out is as in group 0.
    std::size_t add_group(NamedNumbers hyper) {
        Group group = group_data()[0];
        adamcore::set_hyper(group, hyper);
        groups().push_back(group);
        return group_count() - 1;
    }

private:
    friend OptimizerCalls<NamedOptimizer>;

    void read_hypers() {}
    static std::size_t measure(const Group* groups, const Tensor* tensor) {
        return cpu::workspace_size(groups, tensor, 1);
    }
    template <class Pool>
    void run(const Pool& pool, const Treatment& treatment) noexcept {
        assert(has_room(cpu::workspace_size(group_data(), tensor_data(), count())));
        plan::Cut cuts[cpu::max_parts + 1];
        const int parts = cpu::plan_step(tensor_data(), count(), pool.size(), cuts);
        cpu::step(*kernels_, group_data(), tensor_data(), cuts, parts, pool, treatment, false, nullptr, workspace(),
                  number_data());
    }

    const cpu::Kernels* kernels_ = &cpu::best_kernels();
};

namespace cpu {

namespace detail {

/// Throws std::invalid_argument, which says why a tensor does not fit its group.
[[noreturn]] inline void refuse(const Group& group, const Tensor& tensor, std::int64_t index) {
    const RuleInfo& rule = all_rules()[rule_of(group, tensor)];
    const std::string label = std::string(rule.name) + ": tensor " + std::to_string(index);
    if (tensor.group != 0) throw std::invalid_argument(label + " is not in group 0, which is the only one");
    std::string slots;
    for (std::size_t k = 0; k < rule.slot_count; ++k) slots += (k > 0 ? ", " : ": ") + std::string(rule.slots[k].name);
    throw std::invalid_argument(label + " has " + std::to_string(state_count(tensor)) +
                                " state arrays, and the rule has " + std::to_string(rule.slot_count) + slots);
}

/// Throws std::invalid_argument unless a step with this group's rule can use the tensors and what is lent.
inline void require_usable(const Group& group, const Tensor* tensors, std::int64_t count, Workspace workspace,
                           const double* numbers) {
    const RuleInfo* const infos = all_rules().data();
    for (std::int64_t i = 0; i < count; ++i) {
        const Tensor& tensor = tensors[i];
        const bool has_state =
            active_size(tensor) == 0 || state_count(tensor) == infos[rule_of(infos, group.rule, tensor)].slot_count;
        if (tensor.group != 0 || !has_state) refuse(group, tensor, i);
    }
    const RuleInfo& rule = infos[group.rule];
    const bool may_need = rule.has_own_constants || infos[rule.for_vectors].has_own_constants;
    const std::size_t bytes = may_need && !workspace.memory ? workspace_size(&group, tensors, count) : 0;
    if (bytes > 0)
        throw std::invalid_argument(std::string(rule.name) + " needs a workspace, here of " + std::to_string(bytes) +
                                    " bytes: cpu::workspace_size() returns their number");
    if (rule.number_count > 0 && !numbers)
        throw std::invalid_argument(std::string(rule.name) + " keeps numbers between steps, and needs an array of " +
                                    std::to_string(rule.number_count));
}

}  // namespace detail

/// One update with a rule that is chosen by its name, and the best instruction set that the processor has. The numbers that
/// `hyper` does not name are the rule's presets.
///
///     adamcore::cpu::step("adamw", tensors.data(), count, {{"lr", 1e-3}}, adamcore::cpu::Threads{4});
///
/// The arguments are as those of step<Rule>(). Throws std::invalid_argument before anything has changed if there is no such
/// rule or hyper-parameter, if a number is not in its range, or if a tensor has the wrong number of state arrays. A rule
/// with passes needs a workspace of `workspace_size(&group, tensors, count)` bytes, where `group` is
/// `named_group("adamw")`. NamedOptimizer takes care of all this.
template <class Pool = Serial>
void step(std::string_view rule, const Tensor* tensors, std::int64_t count, NamedNumbers hyper = {},
          const Pool& pool = {}, const Treatment& treatment = {}, Workspace workspace = {}, double* numbers = nullptr) {
    const Group group = named_group(rule, hyper);
    detail::require_usable(group, tensors, count, workspace, numbers);
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    step(best_kernels(), &group, tensors, cuts, parts, pool, treatment, false, nullptr, workspace, numbers);
}

}  // namespace cpu

}  // namespace adamcore

#pragma once

#include <cassert>
#include <cstddef>
#include <deque>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/optimizer/calls.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// Writes the first values of a tensor's state arrays, for programs that own them and call cpu::step<Rule>().
template <class Rule>
void start_state(const Tensor& tensor, const typename Rule::Hyper& hyper) {
    const RuleInfo* const infos = cpu::detail::static_infos<Rule>();
    start_state(tensor, infos[rule_of(infos, 0, tensor)], cpu::detail::group_of<Rule>(hyper).hyper, false);
}

/// The optimizer of arrays in the CPU's memory: a rule that is known at compile time, the parameters' state and counts.
///
///     adamcore::Optimizer<adamcore::AdamW> opt({/*lr=*/1e-3});
///     opt.add(weights, {rows, columns});     // pointers, which stay valid, and shapes; state begins here
///     opt.add(biases, columns);
///     opt.step({weight_grads, bias_grads});  // one for each, in the order in which they were added
///
/// State begins with what `hyper()` says when a parameter is added. A step allocates nothing. Its bits are those of
/// cpu::step<Rule>() and of Python's optimizer, with the instruction set for which the caller compiles. Errors are
/// std::invalid_argument or std::bad_alloc, and leave everything as it was.
template <class Rule>
class Optimizer : public OptimizerCalls<Optimizer<Rule>> {
    using Calls = OptimizerCalls<Optimizer>;
    using Calls::count, Calls::group_data, Calls::groups, Calls::number_data, Calls::require_group, Calls::tensor_data,
        Calls::workspace;

public:
    using Hyper = typename Rule::Hyper;

    explicit Optimizer(const Hyper& hyper = {}) : Calls(cpu::detail::static_infos<Rule>()) { add_group(hyper); }

    /// The hyper-parameters of a group, which may be changed between steps.
    Hyper& hyper(std::size_t group = 0) {
        require_group(group);
        return hypers_[group];
    }

    /// Adds a group of parameters with other hyper-parameters, and returns its number. The constructor adds group 0.
    std::size_t add_group(const Hyper& hyper) {
        const Group group = cpu::detail::group_of<Rule>(hyper);
        adamcore::detail::require_in_range(*cpu::detail::static_infos<Rule>(), group.hyper, this->group_count());
        hypers_.push_back(hyper);
        try {
            groups().push_back(group);
        } catch (...) {
            hypers_.pop_back();
            throw;
        }
        return this->group_count() - 1;
    }

private:
    friend OptimizerCalls<Optimizer>;

    void read_hypers() {
        for (std::size_t i = 0; i < hypers_.size(); ++i)
            groups()[i].hyper = cpu::detail::group_of<Rule>(hypers_[i]).hyper;
    }
    static std::size_t measure(const Group*, const Tensor* tensor) { return cpu::workspace_size<Rule>(tensor, 1); }
    template <class Pool>
    void run(const Pool& pool, const Treatment& treatment) noexcept {
        assert(this->has_room(cpu::workspace_size<Rule>(tensor_data(), count())));
        cpu::step<Rule>(group_data(), tensor_data(), count(), pool, treatment, workspace(), number_data());
    }

    std::deque<Hyper> hypers_;  ///< references stay valid when groups are added
};

}  // namespace adamcore

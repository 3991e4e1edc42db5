#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <adamcore/adamcore.hpp>

/// One observed step of one tensor whose elements are dense.
namespace adamcore::test {

/// What an observer needs besides the tensor.
struct ObservedTensor {
    std::vector<statistics::Sums> leaves;
    cpu::Observed observed;

    ObservedTensor(const cpu::Group& group, const Tensor& tensor)
        : leaves(static_cast<std::size_t>(sums::leaves_of(tensor.size))) {
        const RuleInfo& info = cpu::all_rules()[rule_of(group, tensor)];
        const auto moment = [&](int slot) -> norm::Reading {
            if (slot < 0) return {};
            return {tensor.state[slot], tensor.size, slot_dtype(tensor, info.slots[slot]), {}};
        };
        observed.leaves = leaves.data();
        observed.grads = {tensor.grad, tensor.size, tensor.grad_dtype, {}};
        observed.firsts = moment(info.first_moment);
        observed.seconds = moment(info.second_moment);
        observed.floor = 1e-6;
    }

    statistics::Sums total() { return sums::sum_pairs(leaves.data(), static_cast<std::int64_t>(leaves.size())); }
};

/// Steps, and returns the sums. With `fused`, rules with a fused sweep use it where they can.
template <class Pool = cpu::Serial>
statistics::Sums observed_step(const cpu::Kernels& kernels, const cpu::Group& group, const Tensor& tensor,
                               unsigned parts, bool fused, cpu::Workspace workspace = {}, double* numbers = nullptr,
                               const Treatment& treatment = {}, const Pool& pool = {}) {
    ObservedTensor seen(group, tensor);
    plan::Cut cuts[cpu::max_parts + 1];
    const int cut = cpu::plan_step(&tensor, 1, pool.size(), cuts, sums::leaf);
    std::vector<cpu::ObserverRoom> rooms(static_cast<std::size_t>(cut));
    std::atomic<int> used{0};
    cpu::Observer observer;
    observer.kernels = &kernels.observation;
    observer.measure = kernels.measure;
    observer.fused = fused ? kernels.fused : nullptr;
    observer.parts = parts;
    observer.tensors = &seen.observed;
    observer.rooms = rooms.data();
    observer.used_rooms = &used;
    cpu::step(kernels, &group, &tensor, cuts, cut, pool, treatment, false, nullptr, workspace, numbers, {}, &observer);
    return seen.total();
}

}  // namespace adamcore::test

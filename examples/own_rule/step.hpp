#pragma once

#include <adamcore/adamcore.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

/// One step of all parameters of a model with a rule, on this thread.
template <class Rule>
void step(const std::vector<adamcore::Tensor>& tensors, const typename Rule::Hyper& hyper) {
    namespace cpu = adamcore::cpu;
    const auto count = static_cast<std::int64_t>(tensors.size());
    // For a rule with sums; the size depends on the shapes alone, so the memory can be kept for the next step.
    std::vector<std::byte> memory(cpu::workspace_size<Rule>(tensors.data(), count));
    cpu::step<Rule>(tensors.data(), count, hyper, cpu::Serial{}, {}, {memory.data()});
}

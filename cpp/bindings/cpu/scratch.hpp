#pragma once

#include <cstddef>
#include <memory>

#include "adamcore/cpu/engine.hpp"

namespace adamcore::python {

/// The memory that steps with passes need, kept for the next step.
class Scratch {
public:
    /// Returns memory for a step of these tensors, or none if their rules need none. Throws std::bad_alloc.
    cpu::Workspace for_step(const Group* groups, std::size_t group_count, const Tensor* tensors, std::size_t count) {
        bool is_needed = false;
        for (std::size_t i = 0; i < group_count && !is_needed; ++i) is_needed = may_need(groups[i].rule);
        if (!is_needed) return {};
        const std::size_t bytes = cpu::workspace_size(groups, tensors, static_cast<std::int64_t>(count));
        if (bytes == 0) return {};
        if (bytes > bytes_) {
            memory_.reset();
            bytes_ = 0;
            memory_.reset(new std::byte[bytes]);
            bytes_ = bytes;
        }
        return {memory_.get()};
    }

    /// Whether steps with a rule may need memory.
    static bool may_need(std::size_t rule) {
        const RuleInfo& info = all_rules()[rule];
        return info.has_own_constants || all_rules()[info.for_vectors].has_own_constants;
    }

private:
    std::unique_ptr<std::byte[]> memory_;
    std::size_t bytes_ = 0;
};

}  // namespace adamcore::python

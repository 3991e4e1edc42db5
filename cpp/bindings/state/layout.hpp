#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adamcore/optimizer/state_slots.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// The arrays that the parameters of a group have, and their positions in its block of memory.
namespace adamcore::python {

using RuleSlots = std::vector<rule::Slot>;

/// The slots of a rule, and how they begin.
RuleSlots slots_of(std::size_t rule);
std::vector<Initial> initials_of(std::size_t rule, const HyperValues& hyper);
/// All arrays of a tensor whose rule has these slots.
inline StateSlots state_slots(const Tensor& tensor, const RuleSlots& slots) {
    return adamcore::state_slots(tensor, slots.data(), slots.size());
}

/// Whether elements of a rule's parameters are counted in C order: sums have a shape that memory does not change.
bool counts_in_c_order(const RuleInfo& rule);
/// Whether a rule has state for rows or columns.
bool has_lines(const RuleInfo& rule);

/// The tensors of a group that have the same rule: first those with fewer than two axes, then the matrices.
inline constexpr std::size_t cohorts_of_group = 2;
inline std::size_t cohort_of(const Tensor& tensor) {
    return cohorts_of_group * static_cast<std::size_t>(tensor.group) + (tensor.columns != 0);
}
/// The rule of a cohort in whose group `rule` has been selected; see rule_of().
std::size_t rule_in(std::size_t cohort, std::size_t rule);

/// The addresses of a tensor's arrays, by slot.
using SlotArrays = std::array<void*, max_slots>;

/// A slot that the parameters of a cohort have.
struct KeptSlot {
    rule::Slot slot;
    bool exists = true;  ///< false: there is memory for it, but no state
};

/// The slots of all rules that a cohort has had. A slot that the current rule does not use keeps its state.
struct KeptSlots {
    static constexpr std::size_t unknown = static_cast<std::size_t>(-1);

    std::vector<KeptSlot> slots;
    std::size_t rule = unknown;  ///< the rule whose arrays Tensor::state has
    bool begins = false;         ///< whether a rule is among them whose state begins with a gradient (rule::begins)

    /// The index of a slot, or the number of slots if there is no such slot.
    std::size_t find(const char* name) const;
};

/// The positions of state arrays in one block of memory.
class StateLayout {
public:
    struct Placed {
        std::size_t tensor;
        StateSlot slot;
        std::size_t offset;
    };

    /// `slots` are those of each tensor. `place(tensor, slot)` returns the offset of the next array in the block.
    template <class Place>
    StateLayout(const std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots, Place&& place) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            for (const StateSlot& slot : slots[i]) placed_.push_back({i, slot, place(tensors[i], slot)});
        }
    }

    const std::vector<Placed>& placed() const { return placed_; }
    /// The tensor with the most state, and the number of its bytes.
    std::pair<std::size_t, std::size_t> largest() const;
    /// Sets the addresses of each tensor's arrays, in a block that starts at `block`.
    void point_into(std::byte* block, std::vector<Tensor>& tensors) const;

private:
    std::vector<Placed> placed_;
};

/// Converts state between float32 and float64, rounding to nearest. Nothing else is ever converted.
void convert_state(void* to, Dtype to_dtype, const void* from, Dtype from_dtype, std::int64_t size) noexcept;

/// The FNV-1a hash of a parameter's name. Stochastic rounding uses it to distinguish parameters. It does not depend on
/// groups or on the order of parameters.
std::uint32_t name_hash(const std::string& name);

}  // namespace adamcore::python

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// The arrays that make up a parameter's state, and their positions in a group's block of memory.
namespace adamcore::python {

/// One array of a tensor's state: a slot of its rule, or an extra array of a half-precision weight.
struct StateSlot {
    const char* name;   ///< in `opt.state[parameter]`
    const char* dtype;  ///< NumPy's name of it
    std::size_t bytes;
    std::size_t index;  ///< into Tensor::state or Tensor::extra
    bool is_extra;
    bool is_bits;      ///< a bit for each weight, in whole bytes; otherwise it has the parameter's shape
    bool nonnegative;  ///< whether no element can be below 0
};

using RuleSlots = std::vector<rule::Slot>;

/// The slots of a rule, and how they begin.
RuleSlots slots_of(const RuleInfo& rule);
std::vector<Initial> initials_of(const Group& group);

/// Whether what is stored beside half-precision weights is meant too.
enum class Extras : bool { without, with };

/// All arrays of a tensor's state, in the order in which they are shown, saved and laid out.
std::vector<StateSlot> state_slots(const Tensor& tensor, const RuleSlots& slots, Extras extras = Extras::with);

/// The pointer in a tensor that has the address of this array.
inline void*& address_of(Tensor& tensor, const StateSlot& slot) {
    return slot.is_extra ? tensor.extra[slot.index] : tensor.state[slot.index];
}

/// The addresses of a tensor's arrays, by slot.
using SlotArrays = std::array<void*, max_slots>;

/// A slot that the parameters of a group have.
struct KeptSlot {
    rule::Slot slot;
    bool exists = true;  ///< false: there is memory for it, but no state
};

/// The slots of all rules that a group has had. A slot that the current rule does not use keeps its state.
struct KeptSlots {
    static constexpr std::size_t unknown = static_cast<std::size_t>(-1);

    std::vector<KeptSlot> slots;
    std::size_t rule = unknown;  ///< the rule whose arrays Tensor::state has
    bool begins = false;         ///< whether a rule is among them whose state begins with a gradient (rule::begins)

    /// The index of a slot, or the number of slots if there is no such slot.
    std::size_t find(const char* name) const;
};

/// The positions of all state arrays of a group in one block of memory.
class StateLayout {
public:
    struct Placed {
        std::size_t tensor;
        StateSlot slot;
        std::size_t offset;
    };

    /// `place(tensor, slot)` returns the offset of the next array in the block.
    template <class Place>
    StateLayout(const std::vector<Tensor>& tensors, const RuleSlots& slots, Extras extras, Place&& place) {
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            for (const StateSlot& slot : state_slots(tensors[i], slots, extras))
                placed_.push_back({i, slot, place(tensors[i], slot)});
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

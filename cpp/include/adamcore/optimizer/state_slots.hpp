#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// The arrays that make up a parameter's state.
namespace adamcore {

/// One array of a tensor's state: a slot of its rule, or what is stored beside a half-precision weight.
struct StateSlot {
    rule::Slot slot;    ///< its name is the key under which users find the array
    const char* dtype;  ///< NumPy's name of it; if the parameter is complex, that of a part
    std::size_t bytes;
    std::size_t index;      ///< into Tensor::state or Tensor::extra
    bool is_extra = false;  ///< whether it is in Tensor::extra
    bool is_bits = false;   ///< a bit for each weight, in whole bytes
};

/// Arrays of one tensor, in the order in which they are shown, saved and laid out.
using StateSlots = std::vector<StateSlot>;

namespace detail {

constexpr std::size_t bytes_of_bits(std::int64_t size, std::size_t bits) {
    return (static_cast<std::size_t>(size) * bits + 7) / 8;
}

}  // namespace detail

/// A slot of a tensor's rule, whose array is Tensor::state[index].
inline StateSlot state_slot(const Tensor& tensor, const rule::Slot& slot, std::size_t index) {
    const Dtype dtype = slot_dtype(tensor, slot);
    return {slot, name_of(dtype), detail::bytes_of_bits(slot_size(tensor, slot), 8 * size_of(dtype)), index};
}

/// What is stored beside a half-precision weight.
inline StateSlots weight_slots(const Tensor& tensor) {
    const auto bits = extra_bits(tensor.weights);
    const auto slot = [&](const char* name, const char* dtype, std::size_t index) -> StateSlot {
        const std::size_t bytes = detail::bytes_of_bits(tensor.size, bits[index]);
        return {rule::unscaled(name), dtype, bytes, index, true, bits[index] == 1};
    };
    switch (tensor.weights) {
        case WeightPolicy::master: return {slot("master", "float32", 0)};
        case WeightPolicy::remainder: return {slot("remainder", "uint16", 0), slot("remainder_ties", "uint8", 1)};
        case WeightPolicy::compensated: return {slot("compensation", name_of(tensor.dtype), 0)};
        case WeightPolicy::plain:
        case WeightPolicy::stochastic: break;
    }
    return {};
}

/// All arrays of a tensor whose rule has these slots.
inline StateSlots state_slots(const Tensor& tensor, const rule::Slot* slots, std::size_t count) {
    StateSlots found;
    for (std::size_t i = 0; i < count; ++i) found.push_back(state_slot(tensor, slots[i], i));
    const StateSlots beside = weight_slots(tensor);
    found.insert(found.end(), beside.begin(), beside.end());
    return found;
}

/// The pointer in a tensor that has the address of this array.
inline void*& address_of(Tensor& tensor, const StateSlot& slot) {
    return slot.is_extra ? tensor.extra[slot.index] : tensor.state[slot.index];
}

}  // namespace adamcore

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "adamcore/tensor.hpp"

namespace adamcore::python {

/// An array that is kept of a tensor's weights: its name in `state`, and NumPy's name of its type.
struct Kept {
    const char* name;
    const char* dtype;
};

/// In the order of Tensor::extra.
inline std::vector<Kept> kept_of(const Tensor& tensor) {
    switch (tensor.weights) {
        case Weights::master: return {{"master", "float32"}};
        case Weights::remainder: return {{"remainder", "uint16"}, {"remainder_ties", "uint8"}};
        case Weights::compensated: return {{"compensation", name_of(tensor.dtype)}};
        case Weights::plain:
        case Weights::stochastic: break;
    }
    return {};
}

/// FNV-1a of a name: what tells parameters apart does not depend on how they are grouped, nor on their order.
inline std::uint32_t number_of(const std::string& name) {
    std::uint32_t hash = 2166136261u;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    return hash;
}

/// Where a tensor's state and what is kept of its weights begin in a block of memory: `place(bytes)` says where the next
/// array lies, `set(slot, place)` is told of slots and `set_extra(index, place)` of the others.
template <class Place, class Set, class SetExtra>
void lay_state_out(const Tensor& tensor, std::size_t slot_count, Place&& place, Set&& set, SetExtra&& set_extra) {
    const auto count = static_cast<std::size_t>(tensor.size);
    for (std::size_t slot = 0; slot < slot_count; ++slot) set(slot, place(count * size_of(tensor.state_dtype)));
    const auto bits = extra_bits(tensor.weights);
    for (std::size_t i = 0; i < bits.size(); ++i) {
        if (bits[i] != 0) set_extra(i, place((count * bits[i] + 7) / 8));
    }
}

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "adamcore/optimizer/slab.hpp"
#include "adamcore/optimizer/start.hpp"
#include "adamcore/optimizer/state_slots.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

/// What is checked of a tensor that is added to an optimizer, and how its state is made.
namespace adamcore::detail {

inline bool has_right_lines(const Tensor& tensor) {
    if (tensor.rows < 0 || tensor.columns < 0) return false;
    if (tensor.rows == 0 || tensor.columns == 0) return tensor.size == 0 || (tensor.rows == 0 && tensor.columns == 0);
    return tensor.size % tensor.columns == 0 && tensor.size / tensor.columns % tensor.rows == 0;
}

/// Throws std::invalid_argument, with a message that starts with `label`, if a tensor contradicts itself.
inline void require_fit(const Tensor& tensor, const std::string& label) {
    const auto require = [&](bool fits, const std::string& problem) {
        if (!fits) throw std::invalid_argument(label + problem);
    };
    require(tensor.size >= 0, " has a shape with a negative length, or too many elements");
    require(tensor.param || tensor.size == 0, " has a null pointer as its parameter");
    require(has_right_lines(tensor), " has a size that is not a multiple of its rows and columns");
    require((tensor.dtype == Dtype::float64) == (tensor.state_dtype == Dtype::float64),
            std::string(" is ") + name_of(tensor.dtype) + ", and its state would be " + name_of(tensor.state_dtype) +
                "; float64 goes with float64");
    require(tensor.weights == WeightPolicy::plain || is_half(tensor.dtype),
            std::string(" is ") + name_of(tensor.dtype) + "; only half-precision weights need more than the parameter");
    require(tensor.weights != WeightPolicy::remainder || tensor.dtype == Dtype::bfloat16,
            " is float16; a remainder is what bfloat16 lacks compared with float32");
}

/// Makes the state of a tensor, as its rule describes it, and sets the tensor's pointers to it. Throws std::bad_alloc.
inline std::unique_ptr<Slab> make_state(Tensor& tensor, const RuleInfo& rule, const HyperValues& hyper) {
    const StateSlots slots = state_slots(tensor, rule.slots, rule.slot_count);
    Slab::Measure measure;
    for (const StateSlot& slot : slots) measure.add(slot.bytes);
    auto memory = std::make_unique<Slab>(measure.total() + 1);  // not empty, so that every array has an address
    Slab::Measure places;
    for (const StateSlot& slot : slots) address_of(tensor, slot) = memory->data() + places.add(slot.bytes);
    start_state(tensor, rule, hyper, true);
    return memory;
}

}  // namespace adamcore::detail

#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/gradient.hpp"
#include "adamcore/rule/check.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore::cpu {

/// The maximum number of a rule's slots and temporaries that are rows or columns.
inline constexpr std::size_t most_lines = 4;

/// Which arrays of a tensor a kernel reads and writes, and what they are. Bits of `reads` and `writes` are rule::param
/// and so on; the others have one bit for each slot of a rule, and then one for each of its temporaries.
struct Access {
    unsigned nonnegative = 0;
    unsigned reads = ~0u, writes = ~rule::grad;
    unsigned rows = 0, columns = 0, numbers = 0;  ///< of these shapes
    unsigned full = 0;                            ///< stored in the compute type

    /// Whether the kernel uses such an array.
    ADAMCORE_FN constexpr bool touches(unsigned array) const { return ((reads | writes) & array) != 0; }
    constexpr bool is_by_elements() const { return (rows | columns) == 0; }
};

namespace detail {

template <class Slots>
constexpr unsigned slots_of_shape(const Slots& slots, rule::Shape shape) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) bits |= slots[i].shape == shape ? 1u << i : 0u;
    return bits;
}

/// The bits of a shape, for slots and temporaries.
template <class Rule>
constexpr unsigned arrays_of_shape(rule::Shape shape) {
    return slots_of_shape(Rule::slots, shape) | slots_of_shape(rule::temporaries<Rule>, shape) << Rule::slots.size();
}

template <class Rule>
constexpr unsigned full_arrays() {
    unsigned bits = ~0u << Rule::slots.size();
    for (std::size_t i = 0; i < Rule::slots.size(); ++i) bits |= Rule::slots[i].is_full ? 1u << i : 0u;
    return bits;
}

template <class Rule>
constexpr std::size_t count_lines() {
    std::size_t count = 0;
    for (const rule::Shape shape : {rule::Shape::rows, rule::Shape::columns})
        count += rule::count_of(Rule::slots, shape) + rule::count_of(rule::temporaries<Rule>, shape);
    return count;
}

/// What a kernel reads: an L2 term needs the parameter wherever the gradient is needed.
template <class Rule>
constexpr unsigned reads_with_l2(unsigned reads) {
    const bool adds = rule::has_l2<typename Rule::template Step<float>>::value && (reads & rule::grad) != 0;
    return adds ? reads | rule::param : reads;
}

/// The arrays with one number for each element among those that a kernel reads.
template <class Rule>
constexpr unsigned elements_read(unsigned reads) {
    return reads &
           ~((arrays_of_shape<Rule>(rule::Shape::rows) | arrays_of_shape<Rule>(rule::Shape::columns)) * rule::slot(0));
}

template <class Rule>
constexpr Access access_of(unsigned reads, unsigned writes) {
    static_assert(Rule::slots.size() + rule::temporaries<Rule>.size() <= max_slots, "a rule has at most eight arrays");
    static_assert(count_lines<Rule>() <= most_lines, "a rule has at most four arrays of rows and columns");
    return {rule::nonnegative_slots<Rule>(),
            reads_with_l2<Rule>(reads),
            writes,
            arrays_of_shape<Rule>(rule::Shape::rows),
            arrays_of_shape<Rule>(rule::Shape::columns),
            arrays_of_shape<Rule>(rule::Shape::number),
            full_arrays<Rule>()};
}

/// Element `i` of an array if the kernel uses the array, or 0.
template <bool Uses, class T>
ADAMCORE_FN T get([[maybe_unused]] const T* array, [[maybe_unused]] std::int64_t i) {
    if constexpr (Uses) {
        return array[i];
    } else {
        return T(0);
    }
}
template <bool Uses, class T>
ADAMCORE_FN void put([[maybe_unused]] T* array, [[maybe_unused]] std::int64_t i, [[maybe_unused]] T value) {
    if constexpr (Uses) array[i] = value;
}

/// The gradient that a kernel receives which reads these arrays: 0 if the gradient is none of them.
template <unsigned Reads, bool HasL2, class Step, class T>
ADAMCORE_FN auto seen_at([[maybe_unused]] const Step& step, [[maybe_unused]] T grad_scale,
                         [[maybe_unused]] std::int64_t i, [[maybe_unused]] T param, [[maybe_unused]] const T* grad) {
    if constexpr ((Reads & rule::grad) != 0) {
        return gradient::seen<HasL2>(step, grad[i], grad_scale, param);
    } else {
        return T(0);
    }
}

}  // namespace detail

}  // namespace adamcore::cpu

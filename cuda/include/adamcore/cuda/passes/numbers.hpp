#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "adamcore/cuda/table.hpp"
#include "adamcore/rule.hpp"

namespace adamcore::cuda {

namespace internal {

template <class Rule>
constexpr std::size_t number_place(std::size_t k) {
    std::size_t found = 0;
    for (std::size_t slot = 0; slot < Rule::slots.size(); ++slot) {
        if (Rule::slots[slot].shape != rule::Shape::number) continue;
        if (found++ == k) return slot;
    }
    return 0;
}

template <class Rule, std::size_t K>
inline constexpr std::size_t number_slot = number_place<Rule>(K);

template <class Rule, std::size_t... K, class F>
ADAMCORE_FN void with_context(const Tensor& tensor, const Constants& constants, double* shared, bool changes,
                              std::index_sequence<K...>, F&& f) {
    [[maybe_unused]] double* const places[sizeof...(K) + 1] = {
        static_cast<double*>(tensor.state[number_slot<Rule, K>])...};
    double numbers[sizeof...(K) + 1] = {*places[K]...};
    rule::Context context;
    context.t = constants.count;
    context.begins = constants.begins;
    context.numbers = numbers;
    context.shared = shared;
    context.size = tensor.size;
    context.rows = tensor.rows;
    context.columns = tensor.columns;
    f(context);
    if (changes) ((*places[K] = numbers[K]), ...);
}

template <class Rule>
using NumberSlots = std::make_index_sequence<rule::count_of(Rule::slots, rule::Shape::number)>;

}  // namespace internal

/// Calls `f` with what is known of a tensor in the update to which the count of `constants` belongs. f may change the
/// tensor's numbers, which stay where there are no elements.
template <class Rule, class F>
ADAMCORE_FN void with_context(const Tensor& tensor, const Constants& constants, double* shared, F&& f) {
    internal::with_context<Rule>(tensor, constants, shared, tensor.size > 0, internal::NumberSlots<Rule>{}, f);
}
/// The same for many threads at a time, which must not change numbers.
template <class Rule, class F>
ADAMCORE_FN void read_context(const Tensor& tensor, const Constants& constants, double* shared, F&& f) {
    internal::with_context<Rule>(tensor, constants, shared, false, internal::NumberSlots<Rule>{}, f);
}

}  // namespace adamcore::cuda

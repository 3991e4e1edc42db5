#include "cpu/norms.hpp"

#include "cpu/dispatch.hpp"

namespace adamcore::python {

void Norms::measure() {
    const cpu::Threads threads = pool();
    const auto count = static_cast<std::int64_t>(arrays_.size());
    plan::Cut cuts[cpu::max_parts + 1];
    first_leaf_.resize(arrays_.size() + 1);
    const int parts = cpu::plan_norm(arrays_.data(), count, threads.size(), cuts, first_leaf_.data());
    leaves_.resize(static_cast<std::size_t>(first_leaf_.back()));
    totals_.resize(arrays_.size());
    cpu::measure(kernels(), arrays_.data(), cuts, parts, threads, first_leaf_.data(), leaves_.data());
    cpu::add_leaves(count, first_leaf_.data(), leaves_.data(), totals_.data());
}

norm::Squares Norms::sum(std::size_t begin, std::size_t count) const {
    const auto first = totals_.begin() + static_cast<std::ptrdiff_t>(begin);
    pairs_.assign(first, first + static_cast<std::ptrdiff_t>(count));
    return sums::sum_pairs(pairs_.data(), static_cast<std::int64_t>(count));
}

}  // namespace adamcore::python

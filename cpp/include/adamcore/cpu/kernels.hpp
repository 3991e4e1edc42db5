#pragma once

#include <cstddef>

#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/dtype.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/rules/all.hpp"

/// What `adamcore::kernels` compiles: every rule for every ISA, picked at run time.
namespace adamcore::cpu {

/// The sweeps of one ISA, by a rule's place in rules::All and by dtype.
struct Kernels {
    Isa isa;
    Sweep sweep[rules::All::size][dtype_count];
};

namespace detail {

template <class Tag, class... Rules>
constexpr Kernels make_kernels(Isa isa, rule::List<Rules...>) {
    return {isa, {{sweep<Tag, Rules, float>, sweep<Tag, Rules, double>}...}};
}

}  // namespace detail

/// The kernels compiled for `isa`, or null if this build has none or the processor lacks it.
const Kernels* kernels_for(Isa isa) noexcept;

/// The best kernels that this processor runs.
const Kernels& best_kernels() noexcept;

/// Every rule's description, in the order of rules::All.
const std::array<RuleInfo, rules::All::size>& all_rules() noexcept;

}  // namespace adamcore::cpu

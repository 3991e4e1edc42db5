#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "adamcore/adamcore.hpp"

/// The list of rules as the tests walk it: no test names a rule unless it is about that rule.
namespace adamcore::test {

#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
inline constexpr bool slow_build = true;
#else
inline constexpr bool slow_build = false;
#endif

/// One rule with one compute type.
template <class R, class Type>
struct Case {
    using Rule = R;
    using T = Type;
};

namespace detail {

template <class... Lists>
struct Joined;
template <class... A>
struct Joined<rule::List<A...>> {
    using List = rule::List<A...>;
};
template <class... A, class... B, class... More>
struct Joined<rule::List<A...>, rule::List<B...>, More...> : Joined<rule::List<A..., B...>, More...> {};

template <class List>
struct SimpleOf;
template <class... Rules>
struct SimpleOf<rule::List<Rules...>> {
    using List =
        typename Joined<std::conditional_t<rule::has_own_constants<Rules>, rule::List<>, rule::List<Rules>>...>::List;
};

template <class List>
struct CasesOf;
template <class First, class... Rules>
struct CasesOf<rule::List<First, Rules...>> {
#if defined(ADAMCORE_SANITIZED)
    // Sanitizers look at memory, which a rule in double reaches as it does in float.
    using Types = testing::Types<Case<First, float>, Case<Rules, float>..., Case<First, double>>;
#else
    using Types =
        testing::Types<Case<First, float>, Case<Rules, float>..., Case<First, double>, Case<Rules, double>...>;
#endif
};

}  // namespace detail

/// The rules without passes, whose update of an element depends on nothing but the element and its group.
using SimpleRules = detail::SimpleOf<rules::All>::List;

/// They by index.
inline std::vector<std::size_t> simple_rules() {
    std::vector<std::size_t> found;
    for (std::size_t rule = 0; rule < rules::All::size; ++rule) {
        if (!cpu::all_rules()[rule].has_own_constants) found.push_back(rule);
    }
    return found;
}

/// The same. Under sanitizers those with the fewest and the most slots: memory is reached in the same way by all.
inline std::vector<std::size_t> rules_to_test() {
    std::vector<std::size_t> all = simple_rules();
#if defined(ADAMCORE_SANITIZED)
    const auto [fewest, most] = std::minmax_element(all.begin(), all.end(), [](std::size_t a, std::size_t b) {
        return cpu::all_rules()[a].slot_count < cpu::all_rules()[b].slot_count;
    });
    all = {*fewest, *most};
#endif
    return all;
}

/// The rules with passes, by index.
inline std::vector<std::size_t> rules_with_passes() {
    std::vector<std::size_t> found;
    for (std::size_t rule = 0; rule < rules::All::size; ++rule) {
        if (cpu::all_rules()[rule].pass_count > 0) found.push_back(rule);
    }
    return found;
}

/// Every simple rule with every compute type, under sanitizers with float, for TYPED_TEST_SUITE.
using EveryCase = detail::CasesOf<SimpleRules>::Types;

/// Names types by number, in whose place CTest shows the type. (It is the default, but Clang is pedantic about a macro
/// whose last argument is left out.)
struct TypeNumber {
    template <class>
    static std::string GetName(int number) {
        return std::to_string(number);
    }
};

template <class Rule>
std::size_t index_of() {
    const auto& infos = cpu::all_rules();
    for (std::size_t i = 0; i < infos.size(); ++i) {
        if (infos[i].name == Rule::name) return i;
    }
    ADD_FAILURE() << Rule::name << " is not in all_rules()";
    return 0;
}

/// Each hyper-parameter at a value of its own, inside every range: a mix-up of two shows.
template <class Rule>
typename Rule::Hyper distinct_hyper() {
    typename Rule::Hyper hyper;
    double value = 0.05;
    for (const auto& field : Rule::fields) {
        hyper.*field.member = value;
        value += 0.055;
    }
    return hyper;
}

/// Hyper-parameters to test a rule with: all distinct, and the same without weight decay, where engines take
/// another path.
template <class Rule>
std::vector<typename Rule::Hyper> hypers() {
    auto without_decay = distinct_hyper<Rule>();
    for (const auto& field : Rule::fields) {
        if (field.name == std::string_view("weight_decay")) without_decay.*field.member = 0;
    }
    return {distinct_hyper<Rule>(), without_decay};
}

template <class Rule>
const RuleInfo& info_of() {
    return cpu::all_rules()[index_of<Rule>()];
}

/// The group of Rule that the run-time engine takes, with the same hyper-parameters.
template <class Rule>
cpu::Group group_of(const typename Rule::Hyper& hyper, double grad_scale) {
    cpu::Group group{index_of<Rule>(), {}, grad_scale};
    for (std::size_t i = 0; i < Rule::fields.size(); ++i) group.hyper[i] = hyper.*Rule::fields[i].member;
    return group;
}

/// The kernels that this build holds and this processor runs.
inline std::vector<const cpu::Kernels*> every_kernels() {
    std::vector<const cpu::Kernels*> found;
    for (const cpu::Isa isa : cpu::all_isas) {
        if (const cpu::Kernels* kernels = cpu::kernels_for(isa)) found.push_back(kernels);
    }
    return found;
}

/// A workspace, with a margin that a step does not write.
class OwnWorkspace {
public:
    explicit OwnWorkspace(std::size_t bytes) : bytes_(bytes), memory_(bytes / sizeof(std::max_align_t) + 8) {
        std::memset(memory_.data(), 0x55, memory_.size() * sizeof(std::max_align_t));
    }
    ~OwnWorkspace() {
        const auto* const bytes = reinterpret_cast<const unsigned char*>(memory_.data());
        const auto* const end = bytes + memory_.size() * sizeof(std::max_align_t);
        EXPECT_TRUE(std::all_of(bytes + bytes_, end, [](unsigned char byte) { return byte == 0x55; }));
    }
    OwnWorkspace(const OwnWorkspace&) = delete;
    OwnWorkspace& operator=(const OwnWorkspace&) = delete;

    cpu::Workspace get() { return {bytes_ == 0 ? nullptr : memory_.data()}; }

private:
    std::size_t bytes_;
    std::vector<std::max_align_t> memory_;
};

/// One update by the run-time engine.
template <class Pool>
void dispatch(const cpu::Kernels& kernels, const std::vector<cpu::Group>& groups, const std::vector<Tensor>& tensors,
              const Pool& pool, const Treatment& treatment = {}, double* numbers = nullptr) {
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, pool.size(), cuts);
    OwnWorkspace workspace(cpu::workspace_size(groups.data(), tensors.data(), count));
    cpu::step(kernels, groups.data(), tensors.data(), cuts, parts, pool, treatment, false, nullptr, workspace.get(),
              numbers);
}

/// One update cut into `parts`, however small it is.
template <class Pool>
void dispatch_in_parts(const cpu::Kernels& kernels, const std::vector<cpu::Group>& groups,
                       const std::vector<Tensor>& tensors, int parts, const Pool& pool,
                       const Treatment& treatment = {}) {
    const auto size = [&](std::int64_t i) { return cpu::active_size(tensors[static_cast<std::size_t>(i)]); };
    std::vector<plan::Cut> cuts(static_cast<std::size_t>(parts) + 1);
    plan::split(size, static_cast<std::int64_t>(tensors.size()), parts, cuts.data());
    cpu::step(kernels, groups.data(), tensors.data(), cuts.data(), parts, pool, treatment);
}

/// How many arrays an update touches: the parameter, the gradient, and the slots, in this order.
template <class Rule>
inline constexpr std::size_t array_count = 2 + Rule::slots.size();

template <class Rule, class T>
using Pointers = std::array<T*, array_count<Rule>>;

namespace detail {

template <class Rule, class T, std::size_t... I>
Tensor tensor_at(const Pointers<Rule, T>& at, std::int64_t size, std::int64_t step, std::index_sequence<I...>) {
    return tensor<T>(at[0], at[1], size, step, at[2 + I]...);
}

/// Calls `update(g)` with the gradient as rule.hpp says that a rule sees it: in double with an L2 term, else in T.
template <class Step, class T, class Update>
void with_seen_gradient(const Step& step, T scaled, T param, Update&& update) {
    if constexpr (rule::has_l2<Step>::value) {
        if (step.l2 != 0) return update(static_cast<double>(scaled) + step.l2 * static_cast<double>(param));
    }
    update(scaled);
}

template <class Rule, class T, std::size_t... I>
void update_plainly(const Pointers<Rule, T>& at, std::int64_t size, std::int64_t t, const typename Rule::Hyper& hyper,
                    double grad_scale, std::index_sequence<I...>) {
    rule::Context context;
    context.t = t;
    context.begins = t == 1;
    const auto step = rule::prepare<Rule, T>(hyper, context);
    const T scale = static_cast<T>(grad_scale);
    for (std::int64_t i = 0; i < size; ++i) {
        asm volatile("" ::: "memory");  // keeps this loop scalar, so that it shares nothing with the sweeps
        with_seen_gradient(step, at[1][i] * scale, at[0][i],
                           [&](auto g) { Rule::template update<T>(step, g, at[0][i], at[2 + I][i]...); });
    }
}

}  // namespace detail

template <class Rule, class T>
Tensor tensor_at(const Pointers<Rule, T>& at, std::int64_t size, std::int64_t step) {
    return detail::tensor_at<Rule, T>(at, size, step, std::make_index_sequence<Rule::slots.size()>());
}

/// The rule called element after element: what every engine equals, bit for bit.
template <class Rule, class T>
void update_plainly(const Pointers<Rule, T>& at, std::int64_t size, std::int64_t t, const typename Rule::Hyper& hyper,
                    double grad_scale) {
    detail::update_plainly<Rule, T>(at, size, t, hyper, grad_scale, std::make_index_sequence<Rule::slots.size()>());
}

}  // namespace adamcore::test

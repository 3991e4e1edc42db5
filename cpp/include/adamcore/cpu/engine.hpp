#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "adamcore/cpu/constants.hpp"
#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/cpu/isa.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/parallel.hpp"
#include "adamcore/cpu/passes/catalog.hpp"
#include "adamcore/cpu/passes/passes.hpp"
#include "adamcore/cpu/passes/workspace.hpp"
#include "adamcore/cpu/pieces.hpp"
#include "adamcore/cpu/prefetch.hpp"
#include "adamcore/cpu/statistics/observer.hpp"
#include "adamcore/cpu/statistics/pieces.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/tiles/sweep.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/cpu/update.hpp"
#include "adamcore/cpu/weight_passes/followers.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/rule/check.hpp"
#include "adamcore/rule/make_info.hpp"
#include "adamcore/tensor.hpp"

/// The engine: plan, then pool, then passes and sweep. Nothing here allocates, throws or keeps state.
namespace adamcore::cpu {

using adamcore::Group;

namespace detail {

/// Whether every tensor that is updated has the number of state arrays that its rule has. Without `groups`, all have the
/// first rule. Steps assert this.
inline bool have_state(const RuleInfo* infos, const Group* groups, const Tensor* tensors, std::int64_t count) noexcept {
    for (std::int64_t i = 0; i < count; ++i) {
        if (active_size(tensors[i]) == 0) continue;
        const std::size_t rule = rule_of(infos, groups ? groups[tensors[i].group].rule : 0, tensors[i]);
        if (state_count(tensors[i]) != infos[rule].slot_count) return false;
    }
    return true;
}

/// The beginnings of arrays are prefetched this many tensors ahead: where a small array lies, no processor foresees.
inline constexpr std::int64_t tensors_ahead = 2;
inline constexpr std::int64_t elements_ahead = 128;

inline void prefetch_beginning(const Tensor& tensor) noexcept {
    const std::int64_t count = std::min(active_size(tensor), elements_ahead);
    if (count == 0 || tensor.layout) return;
    const auto fetch = [&](const void* array, Dtype dtype) {
        prefetch(array, count * static_cast<std::int64_t>(size_of(dtype)));
    };
    fetch(tensor.param, tensor.dtype);
    fetch(tensor.grad, tensor.grad_dtype);
    for (std::size_t slot = 0; slot < max_slots && tensor.state[slot]; ++slot)
        fetch(tensor.state[slot], tensor.state_dtype);
}

}  // namespace detail

/// Divides `count` tensors among a pool of `threads` threads. Returns the number of parts; `cuts` has room for
/// max_parts + 1 positions. Cuts inside tensors are at multiples of `unit` elements: of sums::leaf if the step is observed.
inline int plan_step(const Tensor* tensors, std::int64_t count, int threads, plan::Cut* cuts,
                     std::int64_t unit = plan::grain) noexcept {
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    std::int64_t work = 0;
    for (std::int64_t i = 0; i < count; ++i) work += work_of(tensors[i]);
    const int parts = parts_for(work, threads);
    plan::split(size, count, parts, cuts, unit);
    return parts;
}

namespace detail {

/// Observes tensors of a step that a pass has ended: nothing changes.
template <class Pool>
void observe_rest(const Job& job, const plan::Cut* cuts, int parts, const Pool& pool,
                  const Observer& observer) noexcept {
    const auto size = [&](std::int64_t i) { return active_size(job.tensors[i]); };
    run(size, cuts, parts, pool, false, [&] {
        return [&, watch = Watch(&observer)](std::int64_t i, std::int64_t begin, std::int64_t end) {
            const Tensor& tensor = job.tensors[i];
            visit_compute(tensor.dtype, [&](auto x) {
                using T = decltype(x);
                constexpr auto type = static_cast<std::size_t>(dtype_of<T>);
                watch.update(tensor, i, resting[type], nullptr, begin, end,
                             [&](const DenseSweep& rule, const void* step, std::int64_t at, std::int64_t next) {
                                 update<T>(rule, job.catalog.tiles[type], step, tensor, at, next, 1.0, Scale(1), {});
                             });
            });
        };
    });
}

/// One update of tensors of which some have constants of their own. Returns false if a pass ended the step.
template <class Pool>
bool step_with_passes(const Job& job, const plan::Cut* cuts, int parts, const Pool& pool, const Treatment& treatment,
                      bool reversed, LatestConstants* latest, Workspace workspace, double* numbers,
                      const Company& company) noexcept {
    Passes<Pool> passes(job, pool, treatment, workspace, numbers, latest);
    if (!passes.run(reversed)) {
        if (company.observer) observe_rest(job, cuts, parts, pool, *company.observer);
        return false;
    }
    const auto size = [&](std::int64_t i) { return active_size(job.tensors[i]); };
    run(size, cuts, parts, pool, reversed, [&] {
        return [&, watch = Watch(company.observer), cache = StepCache<StepStorage>()](
                   std::int64_t i, std::int64_t begin, std::int64_t end) mutable {
            const Group& group = job.group(i);
            const std::size_t rule = job.rule(i);
            const Tensor tensor = passes.view(i);
            const void* constants = passes.constants(i);
            if (!constants)
                constants = cache.get(tensor, rule, [&](const Tensor& t, void* out) {
                    job.catalog.infos[rule].prepare(group.hyper, context_of(t), t.dtype, out);
                });
            update_piece(company, watch,
                         {job.catalog.sweeps[rule], rule, job.catalog.tiles, constants, tensor, i, begin, end,
                          group.grad_scale, treatment});
        };
    });
    return true;
}

/// A rule, and the one that it names for vectors.
template <class Rule>
using StaticRules = std::conditional_t<std::is_same_v<Rule, rule::for_vectors<Rule>>, rule::List<Rule>,
                                       rule::List<Rule, rule::for_vectors<Rule>>>;

/// Their descriptions.
template <class Rule>
const RuleInfo* static_infos() noexcept {
    static const auto infos = adamcore::detail::make_rule_infos(StaticRules<Rule>{});
    return infos.data();
}

template <class Rule>
Group group_of(const typename Rule::Hyper& hyper) noexcept {
    Group group;
    for (std::size_t k = 0; k < Rule::fields.size(); ++k) group.hyper[k] = hyper.*Rule::fields[k].member;
    return group;
}

/// The kernels of a rule and of the one that it names for vectors, for the instruction set for which the caller compiles.
template <class Rule, class List>
struct StaticKernels;
template <class Rule, class... Rules>
struct StaticKernels<Rule, rule::List<Rules...>> {
    static constexpr DenseSweep sweeps[][compute_type_count] = {
        {dense_sweep<isa::Static, Rules, float>, dense_sweep<isa::Static, Rules, double>}...};
    static constexpr PassSweeps passes[][compute_type_count] = {
        {pass_sweeps<isa::Static, Rules, float>, pass_sweeps<isa::Static, Rules, double>}...};
    static constexpr TileSweep tiles[] = {tile_sweep<isa::Static, float>, tile_sweep<isa::Static, double>};
    static constexpr TileVisits visits[] = {tile_visits<isa::Static, float>, tile_visits<isa::Static, double>};

    /// Calls `f` with a job of these tensors.
    template <class F>
    static decltype(auto) with_job(const Group* groups, bool is_one_group, const Tensor* tensors, std::int64_t count,
                                   F&& f) {
        using Storage = adamcore::detail::StepRoom<rule::List<Rules...>>;
        const Catalog catalog{static_infos<Rule>(), sweeps, passes, tiles, visits, sizeof(Storage)};
        return f(Job{catalog, groups, is_one_group, tensors, count});
    }
};

/// Whether a step with this rule may need memory.
template <class Rule>
inline constexpr bool has_passes = rule::has_own_constants<Rule> || !std::is_same_v<Rule, rule::for_vectors<Rule>>;

inline Catalog catalog_of(const Kernels& kernels) noexcept {
    return {all_rules().data(), kernels.sweep, kernels.passes, kernels.tiles, kernels.visits, sizeof(StepStorage)};
}

}  // namespace detail

/// The number of bytes of the workspace that step<Rule>() needs for these tensors; 0 if it needs none.
template <class Rule>
std::size_t workspace_size([[maybe_unused]] const Tensor* tensors, [[maybe_unused]] std::int64_t count) noexcept {
    if constexpr (detail::has_passes<Rule>) {
        const auto measure = [](const detail::Job& job) {
            return static_cast<std::size_t>(detail::lay_out(job, [](std::int64_t, const detail::Place&) {}));
        };
        const Group group;
        return detail::StaticKernels<Rule, detail::StaticRules<Rule>>::with_job(&group, true, tensors, count, measure);
    }
    return 0;
}

/// The same for a step of groups with rules that are chosen at run time. Part of adamcore::kernels.
inline std::size_t workspace_size(const Group* groups, const Tensor* tensors, std::int64_t count) noexcept {
    const detail::Catalog catalog = detail::catalog_of(best_kernels());
    const auto ignore = [](std::int64_t, const detail::Place&) {};
    return static_cast<std::size_t>(detail::lay_out({catalog, groups, false, tensors, count}, ignore));
}

namespace detail {

/// One update of tensors of one rule. If `is_one_group`, all are in the first group.
template <class Rule, class Pool>
void step_statically(const Group* groups, bool is_one_group, const Tensor* tensors, std::int64_t count,
                     const Pool& pool, const Treatment& treatment, [[maybe_unused]] Workspace workspace,
                     [[maybe_unused]] double* numbers) noexcept {
    static_assert(rule::is_rule<Rule>());
    assert(have_state(static_infos<Rule>(), nullptr, tensors, count));
    plan::Cut cuts[max_parts + 1];
    const int parts = plan_step(tensors, count, pool.size(), cuts);
    if constexpr (has_passes<Rule>) {
        StaticKernels<Rule, StaticRules<Rule>>::with_job(groups, is_one_group, tensors, count, [&](const Job& job) {
            step_with_passes(job, cuts, parts, pool, treatment, false, nullptr, workspace, numbers, {{}});
        });
    } else {
        const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
        run(size, cuts, parts, pool, false, [&] {
            using Storage = adamcore::detail::StepRoom<rule::List<Rule>>;
            return [&, cache = StepCache<Storage>()](std::int64_t i, std::int64_t begin, std::int64_t end) mutable {
                const Tensor& tensor = tensors[i];
                const Group& group = groups[is_one_group ? 0 : tensor.group];
                visit_compute(tensor.dtype, [&](auto x) {
                    using T = decltype(x);
                    const void* constants = cache.get(tensor, 0, [&](const Tensor& t, void* out) {
                        adamcore::detail::prepare_in<Rule, T>(group.hyper, context_of(t), nullptr, out);
                    });
                    update<T>(dense_sweep<isa::Static, Rule, T>, tile_sweep<isa::Static, T>, constants, tensor, begin,
                              end, group.grad_scale, treatment.scale_of(i), treatment);
                });
            };
        });
    }
}

/// The same where the constants of all tensors belong to their groups.
template <class Pool>
void step_without_passes(const Kernels& kernels, const Group* groups, const Tensor* tensors, const plan::Cut* cuts,
                         int parts, const Pool& pool, const Treatment& treatment, bool reversed,
                         LatestConstants* latest, const Company& company) noexcept {
    const std::int64_t count = cuts[parts].tensor;
    const auto size = [&](std::int64_t i) { return active_size(tensors[i]); };
    const RuleInfo* const infos = all_rules().data();
    run(size, cuts, parts, pool, reversed, [&] {
        return [&, watch = Watch(company.observer), cache = StepCache<StepStorage>()](
                   std::int64_t i, std::int64_t begin, std::int64_t end) mutable {
            const Tensor& tensor = tensors[i];
            if (i + tensors_ahead < count) prefetch_beginning(tensors[i + tensors_ahead]);
            const Group& group = groups[tensor.group];
            const std::size_t rule = rule_of(infos, group.rule, tensor);
            const void* constants = latest ? latest[tensor.group].find(tensor, rule) : nullptr;
            if (!constants)
                constants = cache.get(tensor, rule, [&](const Tensor& t, void* out) {
                    infos[rule].prepare(group.hyper, context_of(t), t.dtype, out);
                });
            update_piece(company, watch,
                         {kernels.sweep[rule], rule, kernels.tiles, constants, tensor, i, begin, end, group.grad_scale,
                          treatment});
        };
    });
}

}  // namespace detail

/// One update with one rule that is known at compile time, with the instruction set for which the caller compiles.
///
/// Gradients are processed as `treatment` says (a scale of -1 ascends). The bits of the result do not depend on the
/// pool, or on how tensors are distributed among calls. A rule with passes needs a workspace of workspace_size<Rule>()
/// bytes, and a rule with numbers of the optimizer (rule::numbers) needs these; they begin as Rule::first_number().
/// State begins as rule::initial() and the slots say. `Optimizer` takes care of all this. tensor<Rule>() makes tensors
/// with the right number of state arrays; that each has them is asserted here.
template <class Rule, class Pool = Serial>
void step(const Tensor* tensors, std::int64_t count, const typename Rule::Hyper& hyper, const Pool& pool = {},
          const Treatment& treatment = {}, Workspace workspace = {}, double* numbers = nullptr) noexcept {
    const Group group = detail::group_of<Rule>(hyper);
    detail::step_statically<Rule>(&group, true, tensors, count, pool, treatment, workspace, numbers);
}

/// The same for tensors of several groups, in one sweep. `groups` have the hyper-parameters in the order of
/// Rule::fields, and 0 as their rule.
template <class Rule, class Pool = Serial>
void step(const Group* groups, const Tensor* tensors, std::int64_t count, const Pool& pool = {},
          const Treatment& treatment = {}, Workspace workspace = {}, double* numbers = nullptr) noexcept {
    detail::step_statically<Rule>(groups, false, tensors, count, pool, treatment, workspace, numbers);
}

/// One update of many groups with rules that are chosen at run time, with parts from plan_step. If `reversed`, it
/// starts with the last part. `latest` has the constants of the groups, or is null. Rules with passes need a workspace,
/// as above, and `numbers` of the optimizer if they have any. `followers` follow all tensors, also those without
/// gradients. An `observer` sums what the step does. Part of adamcore::kernels.
template <class Pool>
void step(const Kernels& kernels, const Group* groups, const Tensor* tensors, const plan::Cut* cuts, int parts,
          const Pool& pool, const Treatment& treatment = {}, bool reversed = false, LatestConstants* latest = nullptr,
          Workspace workspace = {}, double* numbers = nullptr, const Followers& followers = {},
          const Observer* observer = nullptr) noexcept {
    const std::int64_t count = cuts[parts].tensor;
    assert(detail::have_state(all_rules().data(), groups, tensors, count));
    if (observer) observe_early(*observer, tensors, count, false, pool);
    const detail::Company company{followers, observer};
    bool updates = true;
    if (workspace.memory) {
        const detail::Catalog catalog = detail::catalog_of(kernels);
        updates = detail::step_with_passes({catalog, groups, false, tensors, count}, cuts, parts, pool, treatment,
                                           reversed, latest, workspace, numbers, company);
    } else {
        detail::step_without_passes(kernels, groups, tensors, cuts, parts, pool, treatment, reversed, latest, company);
    }
    detail::follow_others(followers, kernels.tiles, tensors, count, !updates, pool, treatment.seed);
    if (observer) observe_late(*observer, tensors, count, pool);
}

}  // namespace adamcore::cpu

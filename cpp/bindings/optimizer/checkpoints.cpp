// What an optimizer saves, lends to be saved, and loads.

#include <algorithm>
#include <utility>

#include "adamcore/rule_registry.hpp"
#include "checkpoint/dict_updates.hpp"
#include "gate/arrays.hpp"
#include "gate/written.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

constexpr const char* while_lent = "the optimizer is being saved; use a lock if threads share an optimizer";

}  // namespace

py::tuple BoundOptimizer::saved(const ToNumpy& to_numpy) {
    const Counts found = counts();
    const StateChange now = state_as_it_is();
    std::vector<bool> begins(size());
    for (std::size_t i = 0; i < size(); ++i) begins[i] = kept_[cohort_of(tensor_at(i))].begins;
    const py::dict state = make_snapshot(state_arrays(now), found.tensors, begins, *names_, to_numpy);
    const py::object window = window_.saved(to_numpy);
    const py::dict numbers = saved_numbers(number_names(), found.numbers);
    const py::dict progress = averages();
    return py::make_tuple(state, found.completed, numbers, progress, window);
}

py::tuple BoundOptimizer::snapshot() {
    const Exclusive exclusive(use_, owner());
    Copies copies;
    py::tuple found = saved([&](const StateArray& array, const auto& where) { return copy_of(array, where, copies); });
    save(copies);
    return found;
}

std::vector<WeightArray> BoundOptimizer::weight_arrays() const {
    std::vector<WeightArray> arrays;
    for (std::size_t i = 0; i < size(); ++i) {
        const Tensor& tensor = tensor_at(i);
        const ArrayView view = view_of_param(tensor, forms_[i]);
        const int ndim = view.own_ndim();
        const auto bytes = static_cast<std::size_t>(view.size) * size_of(view.dtype);
        arrays.push_back({{names_->key(i),
                           numpy_dtype(view.element()),
                           {view.shape, view.shape + ndim},
                           {view.strides, view.strides + ndim},
                           view.data,
                           bytes},
                          is_dense(view)});
    }
    return arrays;
}

py::tuple BoundOptimizer::borrow() {
    const Exclusive exclusive(use_, owner());
    require_lenders_in_place(true);
    settle_steps();
    Copies copies;
    const bool is_view = is_on_host();
    const py::tuple found = saved([&](const StateArray& array, const auto& where) {
        return is_view ? view_of(array) : copy_of(array, where, copies);
    });
    py::dict params;
    for (const WeightArray& each : weight_arrays())
        params[each.array.name] = is_view ? view_of(each.array) : copy_with_gaps(each.array, copies);
    save_settled(copies);
    py::tuple lent = py::make_tuple(found[0], found[1], found[2], found[3], found[4], params);
    use_.reserve(while_lent);
    return lent;
}

void BoundOptimizer::give_back() {
    const Exclusive exclusive(use_, owner(), true);
    use_.reserve(nullptr);
}

void BoundOptimizer::require_params(const py::list& param_groups) const {
    const Exclusive exclusive(use_, owner());
    containers_.require_unchanged(param_groups, *names_, owner());
}

void BoundOptimizer::restore(const py::list& values, const py::object& state, std::int64_t completed,
                             const py::object& numbers, const py::function& to_numpy,
                             const std::vector<std::string>& rules, const std::vector<std::string>& family,
                             bool checked, const py::list& memories,
                             const std::map<std::string, std::pair<std::int64_t, std::int64_t>>& averages,
                             const py::object& window, const py::object& params) {
    const Exclusive exclusive(use_, owner());
    std::vector<std::size_t> possible;
    for (const std::string& rule : family) possible.push_back(find_rule(rule));
    std::vector<RuleSlots> wanted;
    for (std::size_t cohort = 0; cohort < kept_.size(); ++cohort) {
        std::vector<std::size_t> of_cohort;
        for (const std::size_t rule : possible) of_cohort.push_back(rule_in(cohort, rule));
        const std::size_t rule = rule_in(cohort, find_rule(rules.at(cohort / cohorts_of_group)));
        wanted.push_back(saved_slots(state, *names_, members_of_cohort(cohort), rule, of_cohort));
        for (const Averaged& each : averages_) wanted.back().push_back(each.slot);
    }
    StateChange change = take_slots(wanted, possible);
    const StateArrays arrays = state_arrays(change);
    Accumulation::Loaded new_window = window_.loaded(window, to_numpy);
    Checkpoint checkpoint = read_checkpoint(state, arrays, *names_, regions_, to_numpy, checked);
    for (std::size_t i = 0; i < size(); ++i)
        checkpoint.progress[i].has_begun &= change.kept[cohort_of(tensor_at(i))].begins;
    std::vector<double> new_numbers = loaded_numbers(numbers, number_names(), checked);
    std::optional<NewWeights> weights;
    if (!params.is_none()) {
        require_params_in_place();
        weights = NewWeights::read(params, weight_arrays(), *names_, regions_, to_numpy);
    }
    const py::object written = weights ? this->written(true) : py::object();
    DictUpdates updates(containers_.dicts(), values), memory_updates(memories);
    Copies copies = copies_of(checkpoint, arrays);
    copies.insert(copies.end(), new_window.copies.begin(), new_window.copies.end());
    std::optional<NewWeights::Spans> spans;
    if (weights) {
        const Copies dense = weights->dense();
        copies.insert(copies.end(), dense.begin(), dense.end());
        if (!is_on_host()) {
            spans = weights->spans();
            save_settled(spans->out);
            weights->overlay_on(*spans);
            copies.insert(copies.begin(), spans->back.begin(), spans->back.end());
        }
    }
    load(copies, {checkpoint.progress, completed, std::move(new_numbers)});
    if (weights && is_on_host()) weights->overlay();
    commit(std::move(change));
    window_.use(std::move(new_window));
    for (Averaged& each : averages_) {
        const auto found = averages.find(each.slot.name);
        if (found != averages.end()) each.progress = {found->second.first, found->second.second};
    }
    updates.apply();
    memory_updates.apply();
    if (written) note_written(written);
    loaded();
}

}  // namespace adamcore::python

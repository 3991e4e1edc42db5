// Averages of weights: slots of the state that belong to no rule, and that every step carries on.

#include <set>
#include <utility>

#include "adamcore/rule/make_info.hpp"
#include "adamcore/weights/passes.hpp"
#include "gate/written.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "runtime/room.hpp"

namespace adamcore::python {
namespace {

constexpr const char* while_exchanged =
    "the parameters hold an average of the weights: leave its swap() before you step, save, load or change the "
    "optimizer";

/// The same text for as long as the program runs, because slots only point to their names.
const char* lasting(const std::string& name) {
    static auto& names = *new std::set<std::string>();
    return names.insert(name).first->c_str();
}

}  // namespace

std::size_t BoundOptimizer::pass_of(WeightAverage::Kind kind) noexcept {
    return kind == WeightAverage::Kind::slow ? detail::index_in<weight_pass::Lookahead>(weight_pass::All{})
                                             : detail::index_in<weight_pass::Average>(weight_pass::All{});
}

void BoundOptimizer::add_average(const std::string& name, const WeightAverage& average) {
    const Exclusive exclusive(use_, owner());
    require_new_averages();
    read_averages();
    for (const KeptSlots& kept : kept_) {
        if (kept.find(name.c_str()) < kept.slots.size())
            throw py::value_error(owner() + ": there is state of this name already: " + name);
    }
    const rule::Slot slot = rule::unscaled(lasting(name)).from_param().in_full();
    StateChange change = with_slot(slot);
    python::make_room(averages_, 1);
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < size(); ++i) {
        const std::size_t place = change.kept[cohort_of(tensor_at(i))].find(slot.name);
        tensors.push_back(weight_pass::weights_of(tensor_at(i), change.arrays[i][place]));
    }
    require_lenders_in_place(true);
    // The weights may be kept wider than the parameter, which is what a slot starts as.
    const std::vector<double> whole(groups_.size(), 1.0);
    run_weight_pass(pass_of(WeightAverage::Kind::mean), tensors, whole);
    commit(std::move(change));
    averages_.push_back({slot, average});
    averages_changed();
}

py::dict BoundOptimizer::averages() {
    use_.require_readable(owner());
    read_averages();
    py::dict found;
    for (const Averaged& each : averages_) {
        py::dict progress;
        progress["steps"] = each.progress.steps;
        progress["averaged"] = each.progress.averaged;
        found[each.slot.name] = progress;
    }
    return found;
}

BoundOptimizer::Averaged& BoundOptimizer::average_named(const std::string& name) {
    for (Averaged& each : averages_) {
        if (name == each.slot.name) return each;
    }
    throw py::key_error(name);
}

std::vector<void*> BoundOptimizer::arrays_of_slot(const char* slot) const {
    std::vector<void*> arrays;
    for (std::size_t i = 0; i < size(); ++i) arrays.push_back(array_of(i, slot));
    return arrays;
}

/// Where the parameter is narrower than the average, what the average loses meanwhile is kept.
void BoundOptimizer::exchange(const std::string& name, bool back) {
    Averaged& average = average_named(name);
    const Exclusive exclusive(use_, owner(), back && average.is_exchanged);
    if (back != average.is_exchanged) return;
    if (!back) average.rounded = {};
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < size(); ++i) {
        void* const array = array_of(i, average.slot.name);
        Tensor tensor = weight_pass::weights_of(tensor_at(i), array);
        tensor.weights = WeightPolicy::plain;  // what is kept beside the parameter belongs to the weights
        tensors.push_back(tensor);
        if (!back && is_half(tensor.dtype))
            average.rounded.add(array, static_cast<std::size_t>(tensor.size) * sizeof(float));
    }
    require_lenders_in_place(true);
    const py::object written = this->written(true);
    const std::vector<double> whole(groups_.size(), 1.0);
    if (!back) save_settled(average.rounded.out());
    run_weight_pass(detail::index_in<weight_pass::Exchange>(weight_pass::All{}), tensors, whole);
    average.is_exchanged = !back;
    use_.reserve(back ? nullptr : while_exchanged);
    if (written) note_written(written);
    if (!back) return;
    const Aside rounded = std::exchange(average.rounded, {});
    put_back(rounded.back());
}

void BoundOptimizer::approach(const std::string& slot, const std::vector<double>& shares) {
    const Exclusive exclusive(use_, owner());
    if (shares.size() != groups_.size()) throw py::value_error(owner() + ": there must be a share for each group");
    const std::vector<void*> arrays = arrays_of_slot(slot.c_str());
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < size(); ++i) tensors.push_back(weight_pass::weights_of(tensor_at(i), arrays[i]));
    require_lenders_in_place(true);
    const py::object written = this->written(true);
    run_weight_pass(detail::index_in<weight_pass::Approach>(weight_pass::All{}), tensors, shares);
    if (written) note_written(written);
}

}  // namespace adamcore::python

#include "calls/bare.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "adamcore/rule_registry.hpp"
#include "gate/written.hpp"
#include "groups/hyper.hpp"
#include "regions/regions.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

/// The arguments of one call: their names in messages, and the memory that is written.
class ArgumentNames {
public:
    ArgumentNames(const std::vector<std::string>& names, bool indexed) : names_(names), indexed_(indexed) {}

    std::string label(std::size_t argument, std::size_t i) const {
        return indexed_ ? names_[argument] + "[" + std::to_string(i) + "]" : names_[argument];
    }

    void add_written(const Taken& taken, std::size_t argument, std::size_t i) {
        added_.add(region_of(taken.view, static_cast<std::int64_t>(labels_.size())), taken.owner);
        labels_.push_back(label(argument, i));
    }

    void require_apart() {
        if (const auto overlap = regions_.find_overlap(added_)) {
            const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
            throw py::value_error(label_of(second) + ": shares memory with " + label_of(first) +
                                  "; arrays that are updated must not share memory");
        }
    }

    void require_apart(const Taken& taken, const std::string& name) const {
        if (const auto region = regions_.find_overlap(region_of(taken.view, -1), taken.owner))
            throw py::value_error(name + ": shares memory with " + label_of(region->tensor) +
                                  ", which this call updates; pass a copy");
    }

private:
    const std::string& label_of(std::int64_t i) const { return labels_[static_cast<std::size_t>(i)]; }

    const std::vector<std::string>& names_;
    bool indexed_;
    Regions regions_;
    Regions::Addition added_;
    std::vector<std::string> labels_;
};

/// What is known of a parameter's state: the dtype of the arrays that have its shape, and the order of their elements, if
/// they have been seen or if the rule demands it.
struct Known {
    std::optional<Dtype> dtype{};
    std::optional<Order> order{};
};

/// Raises an error unless a state array that has the parameter's shape is dense, has a dtype that matches the
/// parameter's, and has the same dtype and memory order as those before it. If it `is_full`, it has the compute type.
void require_like_param(const ArrayView& state, const ArrayView& param, const Known& known, bool is_full,
                        const std::string& label, const std::string& param_label) {
    if ((state.dtype == Dtype::float64) != (param.dtype == Dtype::float64))
        throw py::type_error(label + ": dtype " + name_of(state.element()) + " does not match " + param_label +
                             ", which is " + name_of(param.element()) + ": its state must be " +
                             (param.is_complex || param.dtype == Dtype::float64 ? name_of(param.element())
                                                                                : "float32, bfloat16 or float16"));
    if (is_full && state.dtype != compute_dtype(param.dtype))
        throw py::type_error(label + ": dtype must be float32 beside " + param_label + ", got " + name_of(state.dtype));
    if (!is_full && known.dtype && state.dtype != *known.dtype)
        throw py::type_error(label + ": dtype " + name_of(state.dtype) +
                             " differs from the state before it, which is " + name_of(*known.dtype));
    if (!is_dense(state)) throw py::value_error(label + ": a state array must be dense; pass np.ascontiguousarray(a)");
    if (!known.order || Walk(state, *known.order).is_dense()) return;
    if (known.dtype)
        throw py::value_error(label + ": the axes are in another order in memory than those of the state before it");
    throw py::value_error(label + ": this rule's state must be in C order; pass np.ascontiguousarray(a)");
}

/// Raises an error unless an array is what a slot of another shape than the parameter's needs: contiguous, in the compute
/// type, or a float64 number.
void require_own_shape(const ArrayView& state, const rule::Slot& slot, const Tensor& tensor, const ArrayView& param,
                       const std::string& label, const std::string& param_label) {
    const Element wanted{slot_dtype(tensor, slot), false};
    std::vector<Py_ssize_t> axes(param.shape, param.shape + param.ndim);
    int ndim = param.ndim;
    if (slot.shape == rule::Shape::number) ndim = 0;
    if (param.size > 0 && slot.shape == rule::Shape::rows) axes[axes.size() - 1] = 1;
    if (param.size > 0 && slot.shape == rule::Shape::columns) axes[axes.size() - 2] = 1;
    if (!(state.element() == wanted))
        throw py::type_error(label + ": dtype must be " + name_of(wanted) + ", got " + name_of(state.element()));
    if (state.ndim != ndim || !std::equal(axes.begin(), axes.begin() + ndim, state.shape))
        throw py::value_error(label + ": shape must be " + tuple_text(axes.data(), ndim) + " beside " + param_label +
                              ", got " + tuple_text(state.shape, state.ndim));
    if (!Walk(state, c_order(ndim)).is_dense())
        throw py::value_error(label + ": a state array must be dense; pass np.ascontiguousarray(a)");
}

/// Raises TypeError unless a group's rule is that of the tensor.
void require_rule(const Group& group, const Tensor& tensor, const ArrayView& param, const std::string& owner,
                  const std::string& label) {
    const RuleInfo& rule = all_rules()[group.rule];
    if (param.is_complex && has_lines(rule)) refuse_complex(param, owner, label);
    if (rule_of(group, tensor) != group.rule)
        throw py::type_error(label + ": it has fewer than two axes, or no columns, and needs other state");
}

/// The arrays of one update after Gate::prepare(): the parameter, its gradient, its state.
std::vector<std::vector<py::object>> prepare(const BareUpdate& update, const ArgumentNames& arguments,
                                             const Gate& gate) {
    std::vector<std::vector<py::object>> prepared(update.params.size());
    for (std::size_t i = 0; i < update.params.size(); ++i) {
        prepared[i].push_back(gate.prepare(update.params[i], Access::write, arguments.label(0, i)));
        prepared[i].push_back(gate.prepare(update.grads[i], Access::read, arguments.label(1, i)));
        for (std::size_t slot = 0; slot < update.state.size(); ++slot)
            prepared[i].push_back(gate.prepare(update.state[slot][i], Access::write, arguments.label(2 + slot, i)));
    }
    return prepared;
}

std::vector<py::object> prepare(const py::list& arrays, const std::vector<std::string>& labels, Access access,
                                const Gate& gate) {
    std::vector<py::object> prepared;
    for (std::size_t i = 0; i < arrays.size(); ++i) prepared.push_back(gate.prepare(arrays[i], access, labels[i]));
    return prepared;
}

}  // namespace

CheckedUpdate check(const BareUpdate& update, const Gate& gate) {
    CheckedUpdate checked;
    checked.group = {find_rule(update.rule), {}, update.maximize ? -1.0 : 1.0};
    const RuleInfo& rule = all_rules()[checked.group.rule];
    if (update.state.size() != rule.slot_count)
        throw py::value_error(update.owner + ": expected " + std::to_string(rule.slot_count) + " state arrays, got " +
                              std::to_string(update.state.size()));
    HyperReader(checked.group.rule, update.owner, update.renamed).read_numbers(update.hyper, checked.group.hyper);
    for (const std::int64_t t : update.t) {
        if (t < 1)
            throw py::value_error(update.owner + ": t must be the number of this update, from 1 to 2**63 - 1, got " +
                                  std::to_string(t));
    }
    ArgumentNames arguments(update.names, update.indexed);
    const auto prepared = prepare(update, arguments, gate);
    std::vector<Taken> read, written;  // arrays too, for as long as they are compared
    for (std::size_t i = 0; i < update.params.size(); ++i) {
        const std::string param_label = arguments.label(0, i);
        const auto let_in = [&](Access access, std::size_t argument, const ArrayView* like) {
            const std::string label = arguments.label(argument, i);
            Taken taken = gate.look(prepared[i][argument], access, label);
            if (like) {
                std::vector<Py_ssize_t> axes(like->shape, like->shape + like->ndim);
                require_shape(taken.view, {like->ndim, axes.data(), like->is_complex}, like->dtype, label, param_label);
            }
            checked.keepalive.push_back(taken.keepalive);
            return taken;
        };
        const Taken param = let_in(Access::write, 0, nullptr);
        const Taken grad = let_in(Access::read, 1, &param.view);
        arguments.add_written(param, 0, i);
        written.push_back(param);
        read.push_back(grad);

        Tensor tensor;
        tensor.param = param.view.data;
        tensor.grad = grad.view.data;
        tensor.size = param.view.size;
        tensor.step = update.t[i];
        tensor.dtype = param.view.dtype;
        tensor.grad_dtype = grad.view.dtype;
        tensor.state_dtype = compute_dtype(tensor.dtype);
        set_lines(tensor, param.view);
        require_rule(checked.group, tensor, param.view, update.owner, param_label);
        Known known;
        if (counts_in_c_order(rule)) known.order = c_order(param.view.ndim);
        for (std::size_t slot = 0; slot < update.state.size(); ++slot) {
            const bool is_like_param = rule.slots[slot].shape == rule::Shape::elements;
            const std::string label = arguments.label(2 + slot, i);
            const Taken found = let_in(Access::write, 2 + slot, is_like_param ? &param.view : nullptr);
            if (is_like_param) {
                const bool is_full = rule.slots[slot].is_full;
                require_like_param(found.view, param.view, known, is_full, label, param_label);
                if (!known.order) known.order = memory_order(found.view);
                if (!is_full) known.dtype = tensor.state_dtype = found.view.dtype;
            } else {
                require_own_shape(found.view, rule.slots[slot], tensor, param.view, label, param_label);
            }
            arguments.add_written(found, 2 + slot, i);
            written.push_back(found);
            tensor.state[slot] = found.view.data;
        }
        checked.layouts.push_back(layout_of(param.view, grad.view, known.order.value_or(memory_order(param.view))));
        if (checked.layouts.back()) tensor.layout = &checked.layouts.back()->layout;
        checked.tensors.push_back(tensor);
    }
    arguments.require_apart();
    for (std::size_t i = 0; i < read.size(); ++i) arguments.require_apart(read[i], arguments.label(1, i));
    return checked;
}

std::vector<Taken> take_all(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate) {
    const std::vector<py::object> prepared = prepare(arrays, labels, Access::read, gate);
    std::vector<Taken> taken;
    for (std::size_t i = 0; i < prepared.size(); ++i) taken.push_back(gate.look(prepared[i], Access::read, labels[i]));
    return taken;
}

std::vector<Taken> take_written(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate) {
    const std::vector<py::object> prepared = prepare(arrays, labels, Access::write, gate);
    std::vector<Taken> taken;
    Regions regions;
    Regions::Addition added;
    for (std::size_t i = 0; i < prepared.size(); ++i) {
        taken.push_back(gate.look(prepared[i], Access::write, labels[i]));
        const Taken& one = taken.back();
        added.add(region_of(one.view, static_cast<std::int64_t>(i)), one.owner);
    }
    if (const auto overlap = regions.find_overlap(added)) {
        const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
        throw py::value_error(labels[static_cast<std::size_t>(second)] + ": shares memory with " +
                              labels[static_cast<std::size_t>(first)] + ", so its elements would be changed twice");
    }
    return taken;
}

void note_written(const BareUpdate& update) {
    note_written_among(update.params);
    for (const py::list& slot : update.state) note_written_among(slot);
}

}  // namespace adamcore::python

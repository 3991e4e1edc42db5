#include "calls/bare.hpp"

#include <algorithm>
#include <utility>

#include "gate/written.hpp"
#include "groups/hyper.hpp"
#include "regions/regions.hpp"

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

/// Raises an error unless a state array is dense, has a dtype that matches the parameter's, and has the same dtype and
/// memory order as the first state array. (`order` is null for the first one.)
void require_state(const ArrayView& state, const Tensor* first, const ArrayView& param, const Order* order,
                   const std::string& label, const std::string& param_label) {
    if ((state.dtype == Dtype::float64) != (param.dtype == Dtype::float64))
        throw py::type_error(label + ": dtype " + name_of(state.element()) + " does not match " + param_label +
                             ", which is " + name_of(param.element()) + ": its state must be " +
                             (param.is_complex || param.dtype == Dtype::float64 ? name_of(param.element())
                                                                                : "float32, bfloat16 or float16"));
    if (first && state.dtype != first->state_dtype)
        throw py::type_error(label + ": dtype " + name_of(state.dtype) +
                             " differs from the state before it, which is " + name_of(first->state_dtype));
    if (!is_dense(state)) throw py::value_error(label + ": a state array must be dense; pass np.ascontiguousarray(a)");
    if (order && !Walk(state, *order).is_dense())
        throw py::value_error(label + ": the axes are in another order in memory than those of the state before it");
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
    checked.group = {rule_index(update.rule), {}, update.maximize ? -1.0 : 1.0};
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
        Order order = memory_order(param.view);
        for (std::size_t slot = 0; slot < update.state.size(); ++slot) {
            const Taken found = let_in(Access::write, 2 + slot, &param.view);
            require_state(found.view, slot == 0 ? nullptr : &tensor, param.view, slot == 0 ? nullptr : &order,
                          arguments.label(2 + slot, i), param_label);
            if (slot == 0) order = memory_order(found.view);
            arguments.add_written(found, 2 + slot, i);
            written.push_back(found);
            tensor.state[slot] = found.view.data;
            tensor.state_dtype = found.view.dtype;
        }
        checked.layouts.push_back(layout_of(param.view, grad.view, order));
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

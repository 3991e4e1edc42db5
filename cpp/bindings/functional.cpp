#include "functional.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "adamcore/cpu/engine.hpp"
#include "arrays.hpp"
#include "hyper.hpp"
#include "regions.hpp"
#include "settings.hpp"
#include "walk.hpp"

namespace adamcore::python {
namespace {

/// The arguments of one call: how they are called in messages, and what of their memory is written.
class Arguments {
public:
    Arguments(const std::vector<std::string>& names, bool indexed) : names_(names), indexed_(indexed) {}

    std::string label(std::size_t argument, std::size_t i) const {
        return indexed_ ? names_[argument] + "[" + std::to_string(i) + "]" : names_[argument];
    }

    void add_written(const ArrayView& view, py::handle array, std::size_t argument, std::size_t i) {
        regions_.add(Regions::region_of(view, array, static_cast<std::int64_t>(labels_.size())), owner_of(array.ptr()));
        labels_.push_back(label(argument, i));
    }

    void require_apart() {
        regions_.sort();
        if (const auto overlap = regions_.find_overlap()) {
            const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
            throw py::value_error(label_of(second) + ": shares memory with " + label_of(first) +
                                  "; every array that is updated must have memory of its own");
        }
    }

    void require_apart(const ArrayView& view, py::handle array, const std::string& name) const {
        if (const auto region = regions_.find_overlap(Regions::region_of(view, array, -1), owner_of(array.ptr())))
            throw py::value_error(name + ": shares memory with " + label_of(region->tensor) +
                                  ", which is updated; pass a copy");
    }

private:
    const std::string& label_of(std::int64_t i) const { return labels_[static_cast<std::size_t>(i)]; }

    const std::vector<std::string>& names_;
    bool indexed_;
    Regions regions_;
    std::vector<std::string> labels_;
};

/// Raises unless a state array is dense, of a type that goes with the parameter's, and, after the first (then there is
/// an `order`), of the same type and order as that.
void require_state(const ArrayView& state, const Tensor* first, const ArrayView& param, const Order* order,
                   const std::string& label, const std::string& param_label) {
    if ((state.dtype == Dtype::float64) != (param.dtype == Dtype::float64))
        throw py::type_error(
            label + ": dtype " + name_of(state.dtype) + " does not go with " + param_label + ", which is " +
            name_of(param.dtype) +
            (param.dtype == Dtype::float64 ? ": its state is float64" : ": its state is float32, bfloat16 or float16"));
    if (first && state.dtype != first->state_dtype)
        throw py::type_error(label + ": dtype " + name_of(state.dtype) +
                             " differs from the state before it, which is " + name_of(first->state_dtype));
    if (!is_dense(state)) throw py::value_error(label + ": a state array must be dense; pass np.ascontiguousarray(a)");
    if (order && !Walk(state, *order).is_dense())
        throw py::value_error(label + ": the axes are in another order in memory than those of the state before it");
}

}  // namespace

void update(const std::string& rule, const std::string& owner, const py::dict& hyper, bool maximize,
            const py::list& params, const py::list& grads, const std::vector<py::list>& state,
            const std::vector<std::int64_t>& t, const std::vector<std::string>& names, bool indexed,
            const std::map<std::string, std::string>& renamed) {
    cpu::Group group{rule_index(rule), {}, maximize ? -1.0 : 1.0};
    HyperReader(group.rule, owner, renamed).read(hyper, 0, -1, group.hyper);

    Arguments arguments(names, indexed);
    std::vector<Tensor> tensors;
    std::vector<std::unique_ptr<OwnedLayout>> layouts;
    std::vector<std::pair<ArrayView, py::object>> read;
    std::vector<py::object> held;  // for as long as their memory is used
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (t[i] < 1) throw py::value_error(owner + ": t counts updates from 1, got " + std::to_string(t[i]));
        const std::string param_label = arguments.label(0, i);
        const auto take = [&](const py::object& array, Access access, std::size_t argument) {
            held.push_back(as_numpy(array, access, arguments.label(argument, i)));
            return held.back();
        };
        const auto view = [&](py::handle array, Access access, std::size_t argument, const ArrayView* like) {
            const std::string label = arguments.label(argument, i);
            const ArrayView found = view_of(array, access, label);
            if (like) require_shape(found, like->ndim, like->shape, label, param_label);
            return found;
        };
        const py::object param_array = take(params[i], Access::write, 0);
        const py::object grad_array = take(grads[i], Access::read, 1);
        const ArrayView param = view(param_array, Access::write, 0, nullptr);
        const ArrayView grad = view(grad_array, Access::read, 1, &param);
        arguments.add_written(param, param_array, 0, i);
        read.emplace_back(grad, grad_array);

        Tensor tensor;
        tensor.param = param.data;
        tensor.grad = grad.data;
        tensor.size = param.size;
        tensor.step = t[i];
        tensor.dtype = param.dtype;
        tensor.grad_dtype = grad.dtype;
        tensor.state_dtype = compute_dtype(param.dtype);
        Order order = memory_order(param);
        for (std::size_t slot = 0; slot < state.size(); ++slot) {
            const py::object array = take(state[slot][i], Access::write, 2 + slot);
            const ArrayView found = view(array, Access::write, 2 + slot, &param);
            require_state(found, slot == 0 ? nullptr : &tensor, param, slot == 0 ? nullptr : &order,
                          arguments.label(2 + slot, i), param_label);
            if (slot == 0) order = memory_order(found);
            arguments.add_written(found, array, 2 + slot, i);
            tensor.state[slot] = found.data;
            tensor.state_dtype = found.dtype;
        }
        layouts.push_back(layout_of(param, grad, order));
        if (layouts.back()) tensor.layout = &layouts.back()->layout;
        tensors.push_back(tensor);
    }
    arguments.require_apart();
    for (std::size_t i = 0; i < read.size(); ++i)
        arguments.require_apart(read[i].first, read[i].second, arguments.label(1, i));

    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, threads.size(), cuts);
    const py::gil_scoped_release release;
    cpu::step(kernels(), &group, tensors.data(), cuts, parts, threads);
}

}  // namespace adamcore::python

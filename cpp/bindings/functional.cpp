#include "functional.hpp"

#include <algorithm>

#include "adamcore/cpu/engine.hpp"
#include "arrays.hpp"
#include "hyper.hpp"
#include "regions.hpp"
#include "settings.hpp"

namespace adamcore::python {
namespace {

/// The arguments of one call: how they are called in messages, and what of their memory is written.
class Arguments {
public:
    Arguments(const std::vector<std::string>& names, bool indexed) : names_(names), indexed_(indexed) {}

    std::string label(std::size_t argument, std::size_t i) const {
        return indexed_ ? names_[argument] + "[" + std::to_string(i) + "]" : names_[argument];
    }

    void add_written(const ArrayView& view, const void* owner, std::size_t argument, std::size_t i) {
        regions_.add(view.data, view.bytes(), owner, static_cast<std::int64_t>(labels_.size()));
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

    void require_apart(const ArrayView& view, const void* owner, const std::string& name) const {
        if (const auto region = regions_.find_overlap(view.data, view.bytes(), owner))
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

}  // namespace

void update(const std::string& rule, const std::string& owner, const py::dict& hyper, bool maximize,
            const py::list& params, const py::list& grads, const std::vector<py::list>& state,
            const std::vector<std::int64_t>& t, const std::vector<std::string>& names, bool indexed,
            const std::map<std::string, std::string>& renamed) {
    cpu::Group group{rule_index(rule), {}, maximize ? -1.0 : 1.0};
    HyperReader(group.rule, owner, renamed).read(hyper, 0, -1, group.hyper);

    Arguments arguments(names, indexed);
    std::vector<Tensor> tensors;
    std::vector<ArrayView> grad_views;
    std::vector<std::vector<Py_ssize_t>> axes(params.size());
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (t[i] < 1) throw py::value_error(owner + ": t counts updates from 1, got " + std::to_string(t[i]));
        const ArrayView param = view_of(params[i], Access::write, arguments.label(0, i));
        axes[i].assign(param.shape, param.shape + param.ndim);
        axes[i].insert(axes[i].end(), param.strides, param.strides + param.ndim);
        const Layout layout{param.ndim, axes[i].data()};
        arguments.add_written(param, owner_of(py::object(params[i]).ptr()), 0, i);

        const auto like_param = [&](py::handle array, Access access, std::size_t argument) {
            const ArrayView view = view_of(array, access, arguments.label(argument, i));
            require_like(view, layout, param.dtype, arguments.label(argument, i), arguments.label(0, i));
            return view;
        };
        grad_views.push_back(like_param(grads[i], Access::read, 1));
        Tensor tensor{param.data, grad_views.back().data, {}, param.size, t[i], 0, param.dtype};
        for (std::size_t slot = 0; slot < state.size(); ++slot) {
            const py::object array = state[slot][i];
            const ArrayView view = like_param(array, Access::write, 2 + slot);
            arguments.add_written(view, owner_of(array.ptr()), 2 + slot, i);
            tensor.state[slot] = view.data;
        }
        tensors.push_back(tensor);
    }
    arguments.require_apart();
    for (std::size_t i = 0; i < params.size(); ++i)
        arguments.require_apart(grad_views[i], owner_of(py::object(grads[i]).ptr()), arguments.label(1, i));

    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, threads.size(), cuts);
    const py::gil_scoped_release release;
    cpu::step(kernels(), &group, tensors.data(), cuts, parts, threads);
}

}  // namespace adamcore::python

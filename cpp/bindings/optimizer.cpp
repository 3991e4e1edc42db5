#include "optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "settings.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

std::vector<std::string> slot_names(std::size_t rule) {
    const RuleInfo& info = cpu::all_rules()[rule];
    return {info.slots, info.slots + info.slot_count};
}

template <class T>
void fill(T* data, std::int64_t count, double value) {
    std::fill(data, data + count, static_cast<T>(value));
}

}  // namespace

/// Turns away a second thread: the optimizer's lists are not to be changed under a running step.
class Optimizer::Exclusive {
public:
    explicit Exclusive(Optimizer& optimizer) : optimizer_(optimizer) {
        if (optimizer_.busy_.exchange(true))
            throw std::runtime_error(
                optimizer_.owner_ + ": the optimizer is in use by another thread, or by a schedule that it is calling");
    }
    ~Exclusive() { optimizer_.busy_.store(false); }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

private:
    Optimizer& optimizer_;
};

Optimizer::Optimizer(std::string owner) : owner_(std::move(owner)), cuts_(cpu::max_parts + 1) {}

/// The parameters of a group that is being added: nothing of the optimizer has changed yet.
struct Optimizer::Addition {
    std::vector<Tensor> tensors;
    std::vector<Bound> bound;
    std::vector<Identity> identities;
    py::dict index_of_name;
    Regions regions;  ///< the optimizer's, and these parameters'
};

void Optimizer::add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                          const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                          const py::tuple& variant_keys, const py::function& variant) {
    const Exclusive exclusive(*this);
    cpu::Group group;
    group.rule = rule_index(variant(hyper).cast<std::string>());
    BoundGroup bound_group{HyperReader(group.rule, owner_), variant, {}, {}, {}};
    bound_group.reader.read(hyper, completed_, static_cast<int>(groups_.size()), group.hyper);
    for (const py::handle key : variant_keys)
        bound_group.variant_values.emplace_back(py::reinterpret_borrow<py::object>(key), hyper[key]);

    Addition added;
    for (std::size_t i = 0; i < names.size(); ++i) added.identities.push_back({labels[i], keys[i], py::str(names[i])});
    require_new_names(added);
    bind_params(params, added, bound_group);
    require_apart(added);
    bind_state(group.rule, group.hyper, added.tensors, bound_group);
    if (const Slab* state = bound_group.state.get()) {
        added.regions.add(state->data(), static_cast<std::int64_t>(state->size()), state, -1);
        added.regions.sort();
    }

    tensors_.insert(tensors_.end(), added.tensors.begin(), added.tensors.end());
    bound_.insert(bound_.end(), added.bound.begin(), added.bound.end());
    identities_.insert(identities_.end(), added.identities.begin(), added.identities.end());
    groups_.push_back(group);
    bound_groups_.push_back(std::move(bound_group));
    index_of_name_.attr("update")(added.index_of_name);
    regions_ = std::move(added.regions);
    for (Bound& each : bound_) each.checked_grad = nullptr;  // not against the new parameters
    planned_threads_ = 0;
}

void Optimizer::require_new_names(Addition& added) const {
    for (const Identity& identity : added.identities) {
        if (index_of_name_.contains(identity.name) || added.index_of_name.contains(identity.name))
            throw py::value_error(identity.label + ": another parameter is named " + repr_of(identity.name) +
                                  " already");
        added.index_of_name[identity.name] = size() + added.index_of_name.size();
    }
}

void Optimizer::bind_params(const py::list& params, Addition& added, BoundGroup& group) const {
    std::vector<ArrayView> views;
    std::size_t axes = 0;
    for (std::size_t i = 0; i < params.size(); ++i) {
        views.push_back(view_of(params[i], Access::write, added.identities[i].label));
        axes += 2 * static_cast<std::size_t>(views.back().ndim);
    }
    group.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = group.axes.get();
    added.regions = regions_;
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        const auto place = static_cast<std::int64_t>(size() + i);
        added.tensors.push_back(
            {view.data, nullptr, {}, view.size, 0, static_cast<std::int32_t>(groups_.size()), view.dtype});
        added.bound.push_back({params[i], {view.ndim, next_axes}});
        added.regions.add(view.data, view.bytes(), owner_of(added.bound.back().param.ptr()), place);
        next_axes = std::copy(view.shape, view.shape + view.ndim, next_axes);
        next_axes = std::copy(view.strides, view.strides + view.ndim, next_axes);
    }
    added.regions.sort();
}

void Optimizer::require_apart(const Addition& added) const {
    const auto overlap = added.regions.find_overlap();
    if (!overlap) return;
    const auto label = [&](std::int64_t tensor) -> std::string {
        if (tensor < 0) return "the optimizer's state";
        const auto i = static_cast<std::size_t>(tensor);
        return i < size() ? identities_[i].label : added.identities[i - size()].label;
    };
    const auto [first, second] = std::minmax(overlap->first.tensor, overlap->second.tensor);
    throw py::value_error(label(second) + ": shares memory with " + label(first) +
                          "; every parameter must have memory of its own");
}

void Optimizer::bind_state(std::size_t rule, const HyperValues& hyper, std::vector<Tensor>& tensors,
                           BoundGroup& group) const {
    const RuleInfo& info = cpu::all_rules()[rule];
    Slab::Measure measure;
    std::vector<std::size_t> places;
    for (const Tensor& tensor : tensors) {
        for (std::size_t slot = 0; slot < info.slot_count; ++slot)
            places.push_back(measure.add(static_cast<std::size_t>(tensor.size) * size_of(tensor.dtype)));
    }
    if (places.empty()) return;
    group.state = std::make_shared<Slab>(measure.total());
    auto place = places.begin();
    for (Tensor& tensor : tensors) {
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            tensor.state[slot] = group.state->data() + *place++;
            const double value = info.initial(hyper, slot);
            if (value == 0) continue;
            visit(tensor.dtype,
                  [&](auto x) { fill(static_cast<decltype(x)*>(tensor.state[slot]), tensor.size, value); });
        }
    }
}

double Optimizer::checked_loss_scale(py::handle value) const {
    const double scale = PyFloat_AsDouble(value.ptr());
    const bool no_number = scale == -1.0 && PyErr_Occurred();
    if (!no_number && scale > 0 && std::isfinite(scale) && std::isfinite(1 / scale)) return scale;
    PyErr_Clear();
    const std::string message = owner_ + ": loss_scale must be a finite number > 0, got " + repr_of(value);
    if (no_number) throw py::type_error(message);
    throw py::value_error(message);
}

void Optimizer::step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale) {
    const Exclusive exclusive(*this);
    read_groups(param_groups, checked_loss_scale(loss_scale));
    const py::object arrays = take_grads(grads);
    plan();
    for (Tensor& tensor : tensors_) tensor.step += tensor.grad != nullptr;
    ++completed_;
    run(arrays);
}

void Optimizer::read_groups(const py::list& param_groups, double loss_scale) {
    if (param_groups.size() != groups_.size())
        throw py::value_error(owner_ + ": param_groups has " + std::to_string(param_groups.size()) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
    static PyObject* const maximize_key = PyUnicode_InternFromString("maximize");
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        PyObject* item = PyList_GET_ITEM(param_groups.ptr(), static_cast<Py_ssize_t>(i));
        if (!PyDict_Check(item))
            throw py::type_error(owner_ + ": param_groups[" + std::to_string(i) + "] must be a dict");
        const auto hyper = py::reinterpret_borrow<py::dict>(item);
        read_variant(i, hyper);
        bound_groups_[i].reader.read(hyper, completed_, static_cast<int>(i), groups_[i].hyper);
        PyObject* maximize = PyDict_GetItemWithError(item, maximize_key);
        const int ascend = maximize ? PyObject_IsTrue(maximize) : 0;
        if (PyErr_Occurred()) throw py::error_already_set();
        groups_[i].grad_scale = (ascend ? -1.0 : 1.0) / loss_scale;
    }
}

void Optimizer::read_variant(std::size_t index, const py::dict& hyper) {
    BoundGroup& group = bound_groups_[index];
    for (auto& [key, seen] : group.variant_values) {
        PyObject* value = PyDict_GetItemWithError(hyper.ptr(), key.ptr());
        if (value == seen.ptr()) continue;
        const std::string place = "param_groups[" + std::to_string(index) + "]['" + key.cast<std::string>() + "']";
        if (!value) throw py::value_error(owner_ + ": " + place + " is missing");
        const std::size_t rule = rule_index(group.variant(hyper).cast<std::string>());
        if (rule != groups_[index].rule) {
            if (slot_names(rule) != slot_names(groups_[index].rule))
                throw py::value_error(owner_ + ": " + place +
                                      " decides which state there is and cannot change after the group is added, to " +
                                      repr_of(value));
            groups_[index].rule = rule;
            group.reader = HyperReader(rule, owner_);
        }
        seen = py::reinterpret_borrow<py::object>(value);
    }
}

void Optimizer::plan() {
    const int threads = pool().threads;
    if (planned_threads_ == threads) return;
    parts_ = cpu::plan_step(tensors_.data(), static_cast<std::int64_t>(tensors_.size()), threads, cuts_.data());
    active_elements_ = 0;
    for (const Tensor& tensor : tensors_) active_elements_ += cpu::active_size(tensor);
    planned_threads_ = threads;
}

void Optimizer::run(const py::object& grads) {
    const auto update = [&] { cpu::step(kernels(), groups_.data(), tensors_.data(), cuts_.data(), parts_, pool()); };
    // Letting go of the GIL takes references to the gradients first, since another thread may empty their list; with
    // many small tensors, as with little to do, that would cost more than the step.
    const auto worth_releasing = 4096 + 512 * static_cast<std::int64_t>(size());
    if (active_elements_ < worth_releasing) return update();
    py::object kept = grads;
    if (PyDict_Check(grads.ptr())) kept = py::reinterpret_steal<py::object>(PyDict_Values(grads.ptr()));
    if (PyList_Check(grads.ptr())) kept = py::reinterpret_steal<py::object>(PyList_AsTuple(grads.ptr()));
    const py::gil_scoped_release release;
    update();
}

py::array Optimizer::state(std::size_t tensor, std::size_t slot) const {
    const Tensor& t = tensors_.at(tensor);
    const BoundGroup& group = bound_groups_[static_cast<std::size_t>(t.group)];
    if (slot >= cpu::all_rules()[groups_[static_cast<std::size_t>(t.group)].rule].slot_count)
        throw py::index_error("no such slot");
    const Layout& layout = bound_[tensor].layout;
    auto* owner = new std::shared_ptr<Slab>(group.state);
    const py::capsule base(owner, [](void* p) { delete static_cast<std::shared_ptr<Slab>*>(p); });
    return visit(t.dtype, [&](auto x) {
        return py::array(
            py::dtype::of<decltype(x)>(), std::vector<Py_ssize_t>(layout.shape(), layout.shape() + layout.ndim),
            std::vector<Py_ssize_t>(layout.strides(), layout.strides() + layout.ndim), t.state[slot], base);
    });
}

std::vector<std::string> Optimizer::slots(std::size_t tensor) const {
    return slot_names(groups_[static_cast<std::size_t>(tensors_.at(tensor).group)].rule);
}

namespace {
void require_count(std::int64_t steps) {
    if (steps < 0) throw py::value_error("a number of steps must be >= 0, got " + std::to_string(steps));
}
}  // namespace

void Optimizer::set_steps(std::size_t tensor, std::int64_t steps) {
    require_count(steps);
    tensors_.at(tensor).step = steps;
}

void Optimizer::set_completed(std::int64_t steps) {
    require_count(steps);
    completed_ = steps;
}

}  // namespace adamcore::python

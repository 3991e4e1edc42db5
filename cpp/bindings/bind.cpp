// How an optimizer comes to its parameters: a group is checked whole, then bound, and its state allocated.

#include <algorithm>

#include "adamcore/storage.hpp"
#include "exclusive.hpp"
#include "foreign.hpp"
#include "optimizer.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

template <class T>
void fill(T* data, std::int64_t count, double value) {
    if constexpr (sizeof(T) == 2) {
        std::fill(data, data + count, storage::encode<T>(static_cast<float>(value)));
    } else {
        std::fill(data, data + count, static_cast<T>(value));
    }
}

/// FNV-1a of a name: what tells parameters apart does not depend on how they are grouped, nor on their order.
std::uint32_t number_of(const std::string& name) {
    std::uint32_t hash = 2166136261u;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    return hash;
}

}  // namespace

/// The parameters of a group that is being added: nothing of the optimizer has changed yet.
struct Optimizer::Addition {
    std::vector<Tensor> tensors;
    std::vector<Bound> bound;
    std::vector<Identity> identities;
    std::vector<Lender> lenders;
    py::dict index_of_name;
    Regions regions;  ///< the optimizer's, and these parameters'
};

void Optimizer::add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                          const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                          const py::tuple& variant_keys, const py::function& variant) {
    const Exclusive exclusive(*this);
    cpu::Group group;
    group.rule = rule_index(variant(hyper).cast<std::string>());
    BoundGroup bound_group{HyperReader(group.rule, owner_), variant, {}, {}, {}, {}};
    bound_group.reader.read(hyper, completed_, static_cast<int>(groups_.size()), group.hyper);
    for (const py::handle key : variant_keys)
        bound_group.variant_values.emplace_back(py::reinterpret_borrow<py::object>(key), hyper[key]);

    Addition added;
    for (std::size_t i = 0; i < names.size(); ++i) added.identities.push_back({labels[i], keys[i], py::str(names[i])});
    require_new_names(added);
    bind_params(params, added, bound_group);
    require_apart(added);
    bind_state(group.rule, group.hyper, added.tensors, bound_group);
    start_weights(added);
    if (const Slab* state = bound_group.state.get()) {
        const auto begin = reinterpret_cast<std::uintptr_t>(state->data());
        added.regions.add({begin, begin + state->size(), -1, nullptr}, state);
        added.regions.sort();
    }

    tensors_.insert(tensors_.end(), added.tensors.begin(), added.tensors.end());
    std::move(added.bound.begin(), added.bound.end(), std::back_inserter(bound_));
    identities_.insert(identities_.end(), added.identities.begin(), added.identities.end());
    std::move(added.lenders.begin(), added.lenders.end(), std::back_inserter(lenders_));
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
    std::vector<py::object> arrays;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const std::string& label = added.identities[i].label;
        const py::object given = params[i];
        arrays.push_back(as_numpy(given, Access::write, label));
        views.push_back(view_of(arrays.back(), Access::write, label));
        if (!given.is(arrays.back())) added.lenders.push_back({size() + i, given, data_pointer(given)});
        require_fit(options_, views.back().dtype, label);
        axes += 2 * static_cast<std::size_t>(views.back().ndim);
    }
    group.axes = std::make_unique<Py_ssize_t[]>(axes);
    Py_ssize_t* next_axes = group.axes.get();
    added.regions = regions_;
    for (std::size_t i = 0; i < views.size(); ++i) {
        const ArrayView& view = views[i];
        const auto place = static_cast<std::int64_t>(size() + i);
        Identity& identity = added.identities[i];
        identity.shape = {view.ndim, next_axes};
        identity.order = options_.counts_in_c_order() ? c_order(view.ndim) : memory_order(view);
        next_axes = std::copy(view.shape, view.shape + view.ndim, next_axes);
        next_axes = std::copy(view.strides, view.strides + view.ndim, next_axes);

        Tensor tensor;
        tensor.param = view.data;
        tensor.size = view.size;
        tensor.step = 0;
        tensor.group = static_cast<std::int32_t>(groups_.size());
        tensor.dtype = view.dtype;
        tensor.state_dtype = options_.state_of(view.dtype);
        tensor.weights = options_.weights_of(view.dtype);
        tensor.number = number_of(identity.name.cast<std::string>());
        Bound bound;
        bound.param = arrays[i];
        group.pins.push_back(py::reinterpret_steal<py::object>(PyWeakref_NewRef(bound.param.ptr(), nullptr)));
        if (!group.pins.back()) throw py::error_already_set();
        expect(tensor, bound, identity, view, view);
        added.regions.add(Regions::region_of(view, bound.param, place), owner_of(bound.param.ptr()));
        added.tensors.push_back(tensor);
        added.bound.push_back(std::move(bound));
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
        const auto count = static_cast<std::size_t>(tensor.size);
        for (std::size_t slot = 0; slot < info.slot_count; ++slot)
            places.push_back(measure.add(count * size_of(tensor.state_dtype)));
        for (const std::size_t bits : extra_bits(tensor.weights)) {
            if (bits != 0) places.push_back(measure.add((count * bits + 7) / 8));
        }
    }
    if (places.empty()) return;
    group.state = std::make_shared<Slab>(measure.total());
    auto place = places.begin();
    for (Tensor& tensor : tensors) {
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            tensor.state[slot] = group.state->data() + *place++;
            const double value = info.initial(hyper, slot);
            if (value == 0) continue;
            visit(tensor.state_dtype,
                  [&](auto x) { fill(static_cast<decltype(x)*>(tensor.state[slot]), tensor.size, value); });
        }
        for (std::size_t i = 0; i < extra_bits(tensor.weights).size(); ++i) {
            if (extra_bits(tensor.weights)[i] != 0) tensor.extra[i] = group.state->data() + *place++;
        }
    }
}

/// Master weights begin as the parameters; remainders and compensations as zero.
void Optimizer::start_weights(const Addition& added) const {
    for (std::size_t i = 0; i < added.tensors.size(); ++i) {
        const Tensor& tensor = added.tensors[i];
        if (tensor.weights != Weights::master) continue;
        auto* master = static_cast<float*>(tensor.extra[0]);
        const Axes axes = tensor.layout ? tensor.layout->param : Axes{};
        visit(tensor.dtype, [&](auto x) {
            using Stored = decltype(x);
            for_each_run(axes, sizeof(Stored), 0, tensor.size,
                         [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
                             const char* from = static_cast<const char*>(tensor.param) + offset;
                             for (std::int64_t k = 0; k < count; ++k)
                                 *master++ = static_cast<float>(
                                     storage::decode(*reinterpret_cast<const Stored*>(from + k * stride)));
                         });
        });
    }
}

void Optimizer::expect(Tensor& tensor, Bound& bound, const Identity& identity, const ArrayView& param,
                       const ArrayView& grad) {
    const bool like_param = std::equal(grad.strides, grad.strides + grad.ndim, identity.shape.strides());
    auto layout = layout_of(param, grad, identity.order);
    Walk in_c_order(grad, c_order(grad.ndim));
    tensor.grad_dtype = grad.dtype;
    bound.descr = usual_descr(grad.dtype);
    bound.expected = identity.shape;
    bound.unusual.reset();
    tensor.layout = nullptr;
    if (like_param && !layout && in_c_order.is_dense()) return;
    bound.unusual = std::make_unique<Unusual>();
    Unusual& unusual = *bound.unusual;
    unusual.axes.assign(grad.shape, grad.shape + grad.ndim);
    unusual.axes.insert(unusual.axes.end(), grad.strides, grad.strides + grad.ndim);
    unusual.layout = std::move(layout);
    unusual.in_c_order = std::move(in_c_order);
    bound.expected = {grad.ndim, unusual.axes.data()};
    tensor.layout = unusual.layout ? &unusual.layout->layout : nullptr;
}

}  // namespace adamcore::python

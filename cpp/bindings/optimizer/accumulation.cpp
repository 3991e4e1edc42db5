#include "optimizer/accumulation.hpp"

#include <cmath>

#include "checkpoint/entries.hpp"
#include "gate/arrays.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "runtime/number.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

/// The parameter with a buffer of this dtype.
Tensor with_dtype(const Tensor& of, Dtype dtype) {
    Tensor tensor = of;
    tensor.dtype = dtype;
    tensor.state[0] = const_cast<char*>(&no_elements);  // where there are no elements
    return tensor;
}

bool represents(Dtype dtype, double weight) {
    return visit_compute(dtype, [&](auto x) { return leaf::represents<decltype(x)>(weight); });
}

/// A tensor whose parameter is a sum.
Tensor sum_tensor(const Tensor& of, void* sum, Dtype dtype, const void* grad, Dtype grad_dtype) {
    Tensor tensor;
    tensor.param = sum;
    tensor.grad = grad;
    tensor.size = of.size;
    tensor.dtype = tensor.state_dtype = dtype;
    tensor.grad_dtype = grad_dtype;
    return tensor;
}

void add_to(LeafPass& pass, const Tensor& tensor, std::size_t place) {
    pass.tensors.push_back(tensor);
    pass.places.push_back(place);
}

/// A sum as an array of state.
rule::Slot sum_slot() { return rule::unscaled("accumulated").in_full(); }

constexpr const char* window_place = "state_dict['window']";

std::string sum_place(const py::handle& name) { return std::string(window_place) + "['sums'][" + repr_of(name) + "]"; }

std::int64_t read_leaves(const py::object& value) {
    const long long leaves = PyLong_CheckExact(value.ptr()) ? PyLong_AsLongLong(value.ptr()) : -1;
    if (PyErr_Occurred()) PyErr_Clear();
    if (leaves >= 1) return leaves;
    throw py::value_error(std::string(window_place) + "['leaves']: expected an int >= 1, got " + repr_of(value));
}

double read_weight(const py::object& value) {
    const double weight = number_or_nan(value);
    if (weight > 0 && std::isfinite(weight)) return weight;
    throw py::value_error(std::string(window_place) + "['weight']: expected a finite number > 0, got " +
                          repr_of(value));
}

}  // namespace

double Accumulation::checked_weight(py::handle value) const {
    const double weight = number_or_nan(value);
    if (weight > 0 && std::isfinite(weight)) {
        if (std::isfinite(weight_ + weight)) return weight;
        throw py::value_error(optimizer_.owner() + ": weight: the sum of the window's weights is not finite with " +
                              repr_of(value));
    }
    const std::string message = optimizer_.owner() + ": weight must be a finite number > 0, got " + repr_of(value);
    if (std::isnan(weight) && !PyFloat_Check(value.ptr())) throw py::type_error(message);
    throw py::value_error(message);
}

void Accumulation::require_closed(const char* call) const {
    if (leaves_ == 0) return;
    throw std::runtime_error(optimizer_.owner() + ": " + call + ": the window of accumulation is open, with " +
                             std::to_string(leaves_) + (leaves_ == 1 ? " leaf" : " leaves") + "; take the step first");
}

void Accumulation::require_leaf() const {
    if (leaves_ > 0) return;
    throw py::value_error(optimizer_.owner() +
                          ": step: there are no gradients: neither were any passed, nor accumulated since the latest "
                          "step. Gradients are passed to the step: opt.step([p.grad for p in params]) where PyTorch's "
                          "optimizers take none, and opt.step([None]) for a sole parameter without a gradient");
}

void Accumulation::allocate(const std::vector<Needed>& needed) {
    if (sums_.size() < optimizer_.size()) sums_.resize(optimizer_.size());
    std::vector<Tensor> tensors;
    std::vector<StateSlots> slots;
    std::vector<std::string> labels;
    std::vector<void**> buffers;
    for (const auto& [i, is_wide] : needed) {
        Sum& sum = sums_[i];
        if (is_wide ? sum.wide : sum.data) continue;
        tensors.push_back(
            with_dtype(optimizer_.tensor_at(i), is_wide ? Dtype::float64 : optimizer_.tensor_at(i).dtype));
        slots.push_back({state_slot(tensors.back(), sum_slot(), 0)});
        labels.push_back(optimizer_.names_->label(i));
        buffers.push_back(is_wide ? &sum.wide : &sum.data);
    }
    if (tensors.empty()) return;
    python::make_room(blocks_, 1);
    StateBlock block = optimizer_.allocate_state(tensors, slots, labels);
    blocks_.push_back(std::move(block));
    for (std::size_t k = 0; k < buffers.size(); ++k) *buffers[k] = tensors[k].state[0];
}

/// A gradient that the sum's type would round is kept as it is as long as it is the only one, because a step with one leaf
/// is a step with its gradient.
std::vector<Accumulation::Needed> Accumulation::needed_for_leaf() const {
    std::vector<Needed> needed;
    for (std::size_t i = 0; i < optimizer_.size(); ++i) {
        const Tensor& tensor = optimizer_.tensor_at(i);
        const bool is_wide = leaves_ == 0 && tensor.narrows_grad();
        const bool was_wide = i < sums_.size() && sums_[i].is_wide;
        if (tensor.grad || was_wide) needed.push_back({i, is_wide});
    }
    return needed;
}

Leaf Accumulation::prepare(double weight) {
    allocate(needed_for_leaf());
    Leaf leaf{{}, {}, leaves_ + 1, weight_ + weight, sums_};
    leaf.layouts.reserve(optimizer_.size());
    const bool is_first = leaves_ == 0;
    const double kept = leaves_ == 1 ? weight_ : 1;  // what the first leaf has not been multiplied by
    LeafPass narrow{leaf::Pass::take}, take = narrow, add{leaf::Pass::add, {kept, weight}},
                                       add_exactly{leaf::Pass::add_exactly, {kept, weight}},
                                       weigh_new{leaf::Pass::weigh, {weight}}, weigh_old{leaf::Pass::weigh, {kept}};
    for (std::size_t i = 0; i < optimizer_.size(); ++i) {
        const Tensor& of = optimizer_.tensor_at(i);
        const Dtype dtype = compute_dtype(of.dtype);
        Sum& sum = leaf.sums[i];
        if (sum.is_wide) add_to(narrow, sum_tensor(of, sum.data, dtype, sum.wide, Dtype::float64), i);
        const bool was_open = sum.is_open;
        sum.is_wide = of.grad && is_first && of.narrows_grad();
        if (!of.grad) {
            if (was_open && kept != 1) add_to(weigh_old, sum_tensor(of, sum.data, dtype, sum.data, dtype), i);
            continue;
        }
        sum.is_open = true;
        Tensor tensor = sum.is_wide ? sum_tensor(of, sum.wide, Dtype::float64, of.grad, of.grad_dtype)
                                    : sum_tensor(of, sum.data, dtype, of.grad, of.grad_dtype);
        if (of.layout && of.layout->grad.count > 0) {
            leaf.layouts.push_back({{}, of.layout->grad});
            tensor.layout = &leaf.layouts.back();
        }
        const bool is_exact = represents(dtype, kept) && represents(dtype, weight);
        add_to(was_open ? (is_exact ? add : add_exactly) : take, tensor, i);
        if (!was_open && !is_first && weight != 1)
            add_to(weigh_new, sum_tensor(of, sum.data, dtype, sum.data, dtype), i);
    }
    for (LeafPass* pass : {&narrow, &take, &add, &add_exactly, &weigh_new, &weigh_old}) {
        if (!pass->tensors.empty()) leaf.passes.push_back(std::move(*pass));
    }
    return leaf;
}

void Accumulation::use(Leaf&& leaf) noexcept {
    leaves_ = leaf.leaves;
    weight_ = leaf.weight;
    sums_.swap(leaf.sums);
}

void Accumulation::close() noexcept {
    leaves_ = 0;
    weight_ = 0;
    for (Sum& sum : sums_) sum.is_open = sum.is_wide = false;
}

void Accumulation::swap(Accumulation& other) noexcept {
    std::swap(leaves_, other.leaves_);
    std::swap(weight_, other.weight_);
    sums_.swap(other.sums_);
    blocks_.swap(other.blocks_);
}

void Accumulation::clear() noexcept {
    close();
    std::vector<Sum>().swap(sums_);
    const auto blocks = std::move(blocks_);
}

ArrayView Accumulation::view_of(std::size_t i, const Sum& sum, std::vector<Py_ssize_t>& strides) const {
    const BoundOptimizer::Form& form = optimizer_.forms_[i];
    ArrayView view = BoundOptimizer::view_of_param(optimizer_.tensor_at(i), form);
    view.data = static_cast<char*>(const_cast<void*>(sum.grad()));
    view.dtype = sum.is_wide ? Dtype::float64 : compute_dtype(view.dtype);
    strides = dense_strides(view.ndim, view.shape, form.order, view.item_size());
    view.strides = strides.data();
    return view;
}

StateArray Accumulation::array_of(std::size_t i, const Sum& sum) const {
    Tensor tensor = optimizer_.tensor_at(i);
    tensor.weights = WeightPolicy::plain;
    if (sum.is_wide) tensor.dtype = Dtype::float64;
    SlotArrays data{};
    data[0] = sum.is_wide ? sum.wide : sum.data;
    return arrays_of(tensor, {sum_slot()}, data, optimizer_.forms_[i].shape, optimizer_.forms_[i].order).front();
}

py::object Accumulation::saved(const ToNumpy& to_numpy) const {
    if (leaves_ == 0) return py::none();
    py::dict sums;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
        if (!sums_[i].is_open) continue;
        const auto where = [&] { return optimizer_.names_->grad_label(i, Names::By::sum); };
        sums[optimizer_.names_->key(i)] = to_numpy(array_of(i, sums_[i]), where);
    }
    py::dict window;
    window["leaves"] = leaves_;
    window["weight"] = weight_;
    window["sums"] = sums;
    return std::move(window);
}

Accumulation::Loaded Accumulation::loaded(const py::object& given, const py::function& to_numpy) {
    Loaded loaded;
    if (given.is_none()) return loaded;
    const py::dict window = as_dict(given, window_place);
    const py::str leaves("leaves"), weight("weight"), sums("sums");
    require_names(window, {leaves, weight, sums}, window_place);
    loaded.leaves = read_leaves(window[leaves]);
    loaded.weight = read_weight(window[weight]);
    const py::dict found = as_dict(window[sums], "state_dict['window']['sums']");
    for (const auto& item : found) {
        const auto known = optimizer_.names_->places().attr("get")(item.first);
        if (known.is_none()) throw py::value_error(sum_place(item.first) + ": is not in the optimizer");
        loaded.places.push_back(known.cast<std::size_t>());
        loaded.sources.push_back(py::reinterpret_borrow<py::object>(item.second));
    }
    std::vector<Needed> needed;
    for (std::size_t k = 0; k < loaded.places.size(); ++k) {
        const std::size_t i = loaded.places[k];
        const std::string where = sum_place(optimizer_.names_->key(i));
        loaded.sources[k] = plain_array(loaded.sources[k], to_numpy, where);
        // A single leaf may be as it was passed, in float64.
        const Element element = find_element(loaded.sources[k]).value_or(Element{});
        const bool is_wide =
            loaded.leaves == 1 && element.dtype == Dtype::float64 && optimizer_.tensor_at(i).dtype != Dtype::float64;
        needed.push_back({i, is_wide});
    }
    allocate(needed);
    loaded.sums = sums_;
    for (Sum& sum : loaded.sums) sum.is_open = sum.is_wide = false;
    for (std::size_t k = 0; k < loaded.places.size(); ++k) {
        Sum& sum = loaded.sums[loaded.places[k]];
        sum.is_open = true;
        sum.is_wide = needed[k].is_wide;
        const StateArray like = array_of(loaded.places[k], sum);
        loaded.sources[k] = read_array(loaded.sources[k], like, sum_place(optimizer_.names_->key(loaded.places[k])),
                                       optimizer_.regions_);
        loaded.copies.push_back({like.data, py::reinterpret_borrow<py::array>(loaded.sources[k]).data(), like.bytes});
    }
    return loaded;
}

void Accumulation::use(Loaded&& loaded) noexcept {
    close();
    if (loaded.leaves == 0) return;
    leaves_ = loaded.leaves;
    weight_ = loaded.weight;
    sums_.swap(loaded.sums);
}

}  // namespace adamcore::python

#include "optimizer.hpp"

#include <cmath>

#include "text.hpp"

namespace adamcore::python {
namespace {

std::vector<std::string> slot_names(std::size_t rule) {
    const RuleInfo& info = cpu::all_rules()[rule];
    return {info.slots, info.slots + info.slot_count};
}

/// What is kept of a tensor's weights: names and types, in the order of Tensor::extra.
std::vector<std::pair<const char*, py::dtype>> extras_of(const Tensor& tensor) {
    switch (tensor.weights) {
        case Weights::master: return {{"master", py::dtype::of<float>()}};
        case Weights::remainder:
            return {{"remainder", py::dtype::of<std::uint16_t>()}, {"remainder_ties", py::dtype::of<std::uint8_t>()}};
        case Weights::compensated: return {{"compensation", numpy_dtype(tensor.dtype)}};
        case Weights::plain:
        case Weights::stochastic: break;
    }
    return {};
}

}  // namespace

Optimizer::Optimizer(std::string owner, const py::dict& options)
    : owner_(std::move(owner)), options_(read_options(options)), cuts_(cpu::max_parts + 1) {
    if (options_.state == Dtype::bfloat16) numpy_dtype(options_.state);  // so that its absence shows now
}

double Optimizer::checked_loss_scale(py::handle value) const {
    const double scale = PyFloat_AsDouble(value.ptr());
    const bool no_number = scale == -1.0 && PyErr_Occurred();
    // So that float32 holds the scale's inverse.
    if (!no_number && scale >= 0x1p-126 && scale <= 0x1p126) return scale;
    PyErr_Clear();
    const std::string message =
        owner_ + ": loss_scale must be a finite number > 0, from 2**-126 to 2**126, got " + repr_of(value);
    if (no_number) throw py::type_error(message);
    throw py::value_error(message);
}

void Optimizer::read_groups(const py::list& param_groups) {
    if (param_groups.size() != groups_.size())
        throw py::value_error(owner_ + ": param_groups has " + std::to_string(param_groups.size()) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
    static PyObject* const maximize_key = PyUnicode_InternFromString("maximize");
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        // A schedule, which is anyone's code, may change the list.
        PyObject* const item = PyList_GetItem(param_groups.ptr(), static_cast<Py_ssize_t>(i));
        if (!item) throw py::error_already_set();
        if (!PyDict_Check(item))
            throw py::type_error(owner_ + ": param_groups[" + std::to_string(i) + "] must be a dict");
        const auto hyper = py::reinterpret_borrow<py::dict>(item);
        read_variant(i, hyper);
        bound_groups_[i].reader.read(hyper, completed_, static_cast<int>(i), groups_[i].hyper);
        PyObject* maximize = PyDict_GetItemWithError(item, maximize_key);
        const int ascend = maximize ? PyObject_IsTrue(maximize) : 0;
        if (PyErr_Occurred()) throw py::error_already_set();
        groups_[i].grad_scale = ascend ? -1.0 : 1.0;
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

std::vector<std::string> Optimizer::slots(std::size_t tensor) const {
    const Tensor& t = tensors_.at(tensor);
    std::vector<std::string> names = slot_names(groups_[static_cast<std::size_t>(t.group)].rule);
    for (const auto& extra : extras_of(t)) names.emplace_back(extra.first);
    return names;
}

py::array Optimizer::state(std::size_t tensor, std::size_t slot) const {
    const Tensor& t = tensors_.at(tensor);
    const Identity& identity = identities_[tensor];
    const BoundGroup& group = bound_groups_[static_cast<std::size_t>(t.group)];
    const std::size_t slot_count = cpu::all_rules()[groups_[static_cast<std::size_t>(t.group)].rule].slot_count;
    const auto extras = extras_of(t);
    if (slot >= slot_count + extras.size()) throw py::index_error("no such slot");
    auto* owner = new std::shared_ptr<Slab>(group.state);
    const py::capsule base(owner, [](void* p) { delete static_cast<std::shared_ptr<Slab>*>(p); });
    const bool is_extra = slot >= slot_count;
    const std::size_t extra = slot - slot_count;
    const py::dtype dtype = is_extra ? extras[extra].second : numpy_dtype(t.state_dtype);
    const void* data = is_extra ? t.extra[extra] : t.state[slot];
    if (is_extra && extra == 1) return py::array(dtype, {(t.size + 7) / 8}, {1}, data, base);  // bits, not elements
    const auto& shape = identity.shape;
    return py::array(dtype, std::vector<Py_ssize_t>(shape.shape(), shape.shape() + shape.ndim),
                     dense_strides(shape.ndim, shape.shape(), identity.order, dtype.itemsize()), data, base);
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

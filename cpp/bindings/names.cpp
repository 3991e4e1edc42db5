#include "names.hpp"

#include "foreign.hpp"
#include "text.hpp"

namespace adamcore::python {
namespace {

bool is_unordered(py::handle object) {
    return PyAnySet_Check(object.ptr()) || PyUnicode_Check(object.ptr()) || PyBytes_Check(object.ptr());
}

std::string count_text(std::size_t count) { return std::to_string(count) + (count == 1 ? " array" : " arrays"); }

}  // namespace

std::string Names::grad_label(std::size_t tensor, bool by_name) const {
    if (by_name) return "grads['" + name(tensor) + "']";
    return "grads" + entries_[tensor].key;
}

void Names::require_new(const std::vector<std::string>& names, const std::vector<std::string>& labels) const {
    py::set added;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const py::str name(names[i]);
        if (places_.contains(name) || added.contains(name))
            throw py::value_error(labels[i] + ": another parameter is named " + repr_of(name) + " already");
        added.add(name);
    }
}

void Names::add(const std::vector<std::string>& names, const std::vector<std::string>& labels,
                const std::vector<std::string>& keys) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        const py::str name(names[i]);
        places_[name] = size();
        entries_.push_back({labels[i], keys[i], name});
    }
}

py::object Names::take(const py::object& grads, bool in_groups, Taker& taker) const {
    if (is_one_array(grads)) {
        if (size() != 1)
            throw py::type_error("grads: expected " + count_text(size()) +
                                 ", one for each parameter, got a single one");
        return taker.take(0, grads, false);
    }
    if (PyDict_Check(grads.ptr()) || py::hasattr(grads, "keys")) return take_dict(py::dict(grads), taker);
    if (is_unordered(grads) || !py::isinstance<py::iterable>(grads))
        throw py::type_error("grads: expected arrays in the structure of params, got " + type_name(grads));
    if (!in_groups && entries_.front().key.rfind("['", 0) == 0)
        throw py::type_error("grads: params is a mapping from name to array, so pass gradients by name; got " +
                             type_name(grads));
    return take_sequence(grads, taker);
}

py::object Names::take_sequence(const py::object& grads, Taker& taker) const {
    const auto sequence = py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "grads: not a sequence"));
    if (!sequence) throw py::error_already_set();
    const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence.ptr()));
    if (count != size())
        throw py::value_error("grads: expected " + count_text(size()) +
                              ", one for each parameter (None leaves one alone), got " + std::to_string(count));
    if (!taker.is_wary() && taker.take_plainly(PySequence_Fast_ITEMS(sequence.ptr()))) return sequence;
    // Looking closer may run anyone's code, which may change a list.
    const auto fixed = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sequence.ptr()));
    if (!fixed) throw py::error_already_set();
    py::tuple held(count);
    for (std::size_t i = 0; i < count; ++i) held[i] = taker.take(i, fixed[i], false);
    return held;
}

py::dict Names::take_dict(const py::dict& grads, Taker& taker) const {
    py::dict fixed = grads, held = grads;
    if (taker.is_wary() || !take_plain_dict(grads, taker)) {
        // Looking closer may run anyone's code, which may change the dict.
        fixed = py::reinterpret_steal<py::dict>(PyDict_Copy(grads.ptr()));
        held = py::dict();
        for (std::size_t i = 0; i < size(); ++i)
            held[entries_[i].name] = taker.take(i, py::reinterpret_borrow<py::object>(find(fixed, i)), true);
    }
    if (fixed.size() == size()) return held;
    for (const auto& [name, grad] : fixed) {
        if (!places_.contains(name)) throw py::value_error("grads[" + repr_of(name) + "]: there is no such parameter");
    }
    return held;
}

bool Names::take_plain_dict(const py::dict& grads, Taker& taker) const {
    for (std::size_t i = 0; i < size(); ++i) {
        if (!taker.take_plainly(i, find(grads, i).ptr())) return false;
    }
    return true;
}

py::handle Names::find(const py::dict& grads, std::size_t i) const {
    PyObject* grad = PyDict_GetItemWithError(grads.ptr(), entries_[i].name.ptr());
    if (grad) return grad;
    if (PyErr_Occurred()) throw py::error_already_set();
    throw py::value_error("grads: no gradient for " + entries_[i].label + " (pass None to leave a parameter alone)");
}

}  // namespace adamcore::python

#include "optimizer/names.hpp"

#include "gate/foreign.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_unordered(py::handle object) {
    return PyAnySet_Check(object.ptr()) || PyUnicode_Check(object.ptr()) || PyBytes_Check(object.ptr());
}

/// Whether an object is an array whose memory is not accessible, and not a structure of arrays, although it can be
/// iterated.
bool is_opaque(py::handle object) {
    if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyDict_Check(object.ptr())) return false;
    return !is_unordered(object) && holds_numbers(object);
}

std::string count_text(std::size_t count) { return std::to_string(count) + (count == 1 ? " array" : " arrays"); }

}  // namespace

std::vector<py::str> exact_names(const py::list& names) {
    std::vector<py::str> exact;
    for (const py::handle name : names) {
        const auto text = py::reinterpret_steal<py::object>(PyUnicode_FromObject(name.ptr()));
        if (!text) throw py::error_already_set();
        exact.push_back(py::reinterpret_borrow<py::str>(text));
    }
    return exact;
}

std::string Names::grad_label(std::size_t tensor, bool by_name) const {
    if (by_name) return "grads['" + name(tensor) + "']";
    return "grads" + entries_[tensor].key;
}

void Names::require_new(const std::vector<py::str>& names, const std::vector<std::string>& labels) const {
    py::set added;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (places_.contains(names[i]) || added.contains(names[i]))
            throw py::value_error(labels[i] + ": another parameter is named " + repr_of(names[i]) + " already");
        added.add(names[i]);
    }
}

void Names::add(const std::vector<py::str>& names, const std::vector<std::string>& labels,
                const std::vector<std::string>& keys, const py::list& param_groups, const py::dict& group) {
    std::vector<Entry> added;
    added.reserve(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) added.push_back({labels[i], keys[i], names[i]});
    make_room(entries_, names.size());
    const std::size_t before = size();
    const auto require = [&](int status) {
        if (status == 0) return;
        const py::error_already_set error;
        remove_last(size() - before);
        throw error;
    };
    for (Entry& entry : added) {
        const auto place = py::reinterpret_steal<py::object>(PyLong_FromSize_t(size()));
        require(place ? PyDict_SetItem(places_.ptr(), entry.name.ptr(), place.ptr()) : -1);
        entries_.push_back(std::move(entry));
    }
    require(PyList_Append(param_groups.ptr(), group.ptr()));
}

/// Removes the parameters that were added last.
void Names::remove_last(std::size_t count) noexcept {
    for (; count > 0; --count) {
        // Looking up existing keys does not allocate.
        if (PyDict_DelItem(places_.ptr(), entries_.back().name.ptr()) != 0) PyErr_Clear();
        entries_.pop_back();
    }
}

py::object Names::take(const py::object& grads, bool in_groups, Taker& taker, bool hold) const {
    // Lists, the usual case, skip these checks, which would take longer than a small step.
    if (!PyList_CheckExact(grads.ptr()) && !PyTuple_CheckExact(grads.ptr())) {
        if (is_one_array(grads)) return take_one(grads, taker);
        if (is_opaque(grads))
            throw py::type_error("grads: expected a NumPy array, got " + type_name(grads) + "; pass np.asarray(a)");
        if (PyDict_Check(grads.ptr()) || py::hasattr(grads, "keys")) return take_dict(py::dict(grads), taker, hold);
        if (is_unordered(grads) || !py::isinstance<py::iterable>(grads))
            throw py::type_error("grads: expected arrays in the structure of params, got " + type_name(grads));
    }
    if (!in_groups && entries_.front().key.rfind("['", 0) == 0)
        throw py::type_error("grads: params is a mapping from name to array, so pass gradients by name; got " +
                             type_name(grads));
    return take_sequence(grads, taker, hold);
}

py::object Names::take_one(const py::object& grad, Taker& taker) const {
    if (size() != 1)
        throw py::type_error("grads: expected " + count_text(size()) + ", one for each parameter, got a single one");
    py::object held = taker.prepare(0, grad, false);
    taker.take(0, held, false);
    return held;
}

py::object Names::take_sequence(const py::object& grads, Taker& taker, bool hold) const {
    const auto sequence = py::reinterpret_steal<py::object>(
        hold ? PySequence_Tuple(grads.ptr()) : PySequence_Fast(grads.ptr(), "grads: not a sequence"));
    if (!sequence) throw py::error_already_set();
    const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence.ptr()));
    if (count != size())
        throw py::value_error("grads: expected " + count_text(size()) +
                              ", one for each parameter (pass None to leave one alone), got " + std::to_string(count));
    if (!taker.is_wary() && taker.take_plainly(PySequence_Fast_ITEMS(sequence.ptr()))) return sequence;
    // Examining the gradients may run foreign code, which may change a list.
    const auto fixed = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sequence.ptr()));
    if (!fixed) throw py::error_already_set();
    py::tuple held(count);
    for (std::size_t i = 0; i < count; ++i) held[i] = taker.prepare(i, fixed[i], false);
    for (std::size_t i = 0; i < count; ++i) taker.take(i, held[i], false);
    return held;
}

py::dict Names::take_dict(const py::dict& grads, Taker& taker, bool hold) const {
    py::dict fixed = grads, held;
    if (hold) fixed = py::reinterpret_steal<py::dict>(PyDict_Copy(grads.ptr()));
    if (!fixed) throw py::error_already_set();
    if (!taker.is_wary() && take_plain_dict(fixed, taker)) {
        held = fixed;
    } else {
        // Examining the gradients may run foreign code, which may change the dict.
        if (!hold) fixed = py::reinterpret_steal<py::dict>(PyDict_Copy(grads.ptr()));
        if (!fixed) throw py::error_already_set();
        std::vector<py::object> found(size());
        for (std::size_t i = 0; i < size(); ++i) {
            found[i] = py::reinterpret_borrow<py::object>(find(fixed, i));
            if (!found[i]) refuse_missing(i);
        }
        held = py::dict();
        for (std::size_t i = 0; i < size(); ++i) held[entries_[i].name] = found[i] = taker.prepare(i, found[i], true);
        for (std::size_t i = 0; i < size(); ++i) taker.take(i, found[i], true);
    }
    if (fixed.size() == size()) return held;
    for (const auto& [name, grad] : fixed) {
        if (!places_.contains(name)) throw py::value_error("grads[" + repr_of(name) + "]: there is no such parameter");
    }
    return held;
}

/// Also returns false if comparing keys may run code, because gradients that have already been taken might be freed.
bool Names::take_plain_dict(const py::dict& grads, Taker& taker) const {
    PyObject *key = nullptr, *value = nullptr;
    Py_ssize_t at = 0;
    std::size_t i = 0;
    // The keys are the very objects that name the parameters, in their order.
    for (; i < size() && PyDict_Next(grads.ptr(), &at, &key, &value) && key == entries_[i].name.ptr(); ++i) {
        if (!taker.take_plainly(i, value)) return false;
    }
    if (i == size() && grads.size() == size()) return true;
    for (at = 0; PyDict_Next(grads.ptr(), &at, &key, &value);) {
        if (!PyUnicode_CheckExact(key)) return false;
    }
    for (; i < size(); ++i) {
        const py::handle grad = find(grads, i);
        if (!grad) refuse_missing(i);
        if (!taker.take_plainly(i, grad.ptr())) return false;
    }
    return true;
}

py::handle Names::find(const py::dict& grads, std::size_t i) const {
    PyObject* grad = PyDict_GetItemWithError(grads.ptr(), entries_[i].name.ptr());
    if (!grad && PyErr_Occurred()) throw py::error_already_set();
    return grad;
}

void Names::refuse_missing(std::size_t i) const {
    throw py::value_error("grads: no gradient for " + entries_[i].label + " (pass None to leave a parameter alone)");
}

}  // namespace adamcore::python

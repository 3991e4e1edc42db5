#include "structures/search.hpp"

#include "gate/arrays.hpp"
#include "gate/foreign.hpp"
#include "runtime/gil.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_sequence(py::handle object) { return PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()); }

bool is_mapping(py::handle object) {
    static const py::handle keys = interned("keys");
    return PyDict_Check(object.ptr()) || (!is_sequence(object) && !is_one_array(object) && find_attr(object, keys));
}

bool is_pair(py::handle object) {
    return PyTuple_Check(object.ptr()) && PyTuple_GET_SIZE(object.ptr()) == 2 &&
           PyUnicode_Check(PyTuple_GET_ITEM(object.ptr(), 0));
}

/// str() of a key. Text that cannot be encoded is replaced by its repr, because no parameter has such a name.
std::string text_of(py::handle key) {
    const auto text = run_python([&] { return py::str(py::reinterpret_borrow<py::object>(key)); });
    Py_ssize_t size = 0;
    const char* const bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (bytes) return {bytes, static_cast<std::size_t>(size)};
    PyErr_Clear();
    return repr_of(key);
}

}  // namespace

std::vector<py::object> Search::find(const py::object& grads) {
    walk(grads, nullptr);
    for (std::size_t i = 0; i < found_.size(); ++i) {
        if (!found_[i]) names_.refuse_missing(i);
    }
    return std::move(found_);
}

void Search::walk(py::handle container, const Place* place) {
    if (place) is_nested_ = true;
    // Copies, because what is called meanwhile may change the container.
    if (is_mapping(container)) {
        const py::dict entries = py::reinterpret_steal<py::dict>(PyDict_New());
        if (PyDict_Update(entries.ptr(), container.ptr()) != 0) throw py::error_already_set();
        for (const py::handle item : py::reinterpret_steal<py::list>(PyDict_Items(entries.ptr())))
            enter(PyTuple_GET_ITEM(item.ptr(), 1), PyTuple_GET_ITEM(item.ptr(), 0), place);
        return;
    }
    const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(container.ptr()));
    if (!items) throw py::error_already_set();
    for (std::size_t i = 0; i < items.size(); ++i) {
        const py::handle item = items[i];
        if (!place && is_pair(item)) {
            enter(PyTuple_GET_ITEM(item.ptr(), 1), PyTuple_GET_ITEM(item.ptr(), 0), place);
        } else {
            is_nested_ = true;
            enter(item, py::int_(i), place);
        }
    }
}

void Search::enter(py::handle value, py::handle key, const Place* outer) {
    const std::string name = (outer ? outer->name + "." : "") + text_of(key);
    const Place place{outer, key, name};
    if (take(value, place)) return;
    if (is_sequence(value) || is_mapping(value)) {
        if (Py_EnterRecursiveCall(" in a structure of gradients") != 0) throw py::error_already_set();
        try {
            walk(value, &place);
        } catch (...) {
            Py_LeaveRecursiveCall();
            throw;
        }
        Py_LeaveRecursiveCall();
    } else if (!value.is_none() || !take_none(place)) {
        refuse_unknown(value, place);
    }
}

bool Search::take(py::handle value, const Place& place) {
    const py::dict& places = names_.places();
    const py::str name(place.name);
    PyObject* const at = PyDict_GetItemWithError(places.ptr(), name.ptr());
    if (!at && PyErr_Occurred()) throw py::error_already_set();
    if (!at) return false;
    py::object& found = found_[PyLong_AsSize_t(at)];
    if (found) throw py::value_error(label_of(&place) + ": there are two entries for this parameter");
    found = py::reinterpret_borrow<py::object>(value);
    return true;
}

bool Search::take_none(const Place& place) {
    bool any = false;
    for (std::size_t i = 0; i < found_.size(); ++i) {
        if (found_[i] || names_.name(i).rfind(place.name + ".", 0) != 0) continue;
        found_[i] = py::none();
        any = true;
    }
    return any;
}

void Search::refuse_unknown(py::handle value, const Place& place) const {
    for (std::size_t i = 0; i < found_.size(); ++i) {
        if (names_.name(i).rfind(place.name + ".", 0) == 0)
            throw py::type_error(label_of(&place) + ": expected a structure that contains the gradient of " +
                                 names_.label(i) + ", got " + repr_of(value));
    }
    throw py::value_error(label_of(&place) + ": there is no such parameter");
}

std::string Search::label_of(const Place* place) {
    return place ? label_of(place->outer) + "[" + repr_of(place->key) + "]" : "grads";
}

}  // namespace adamcore::python

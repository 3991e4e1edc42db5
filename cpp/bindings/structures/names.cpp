#include "structures/names.hpp"

#include "gate/arrays.hpp"
#include "gate/foreign.hpp"
#include "runtime/prefetch.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"
#include "structures/search.hpp"

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

/// Objects are scattered in memory, and prefetched this many objects ahead.
constexpr std::size_t objects_ahead = 8;

/// The gradients in a list, tuple or dict.
py::object container_of(const py::object& grads) {
    if (is_opaque(grads))
        throw py::type_error("grads: expected a NumPy array, got " + type_name(grads) + "; pass np.asarray(a)");
    if (PyDict_Check(grads.ptr()) || py::hasattr(grads, "keys")) return py::dict(grads);
    if (is_unordered(grads) || !py::isinstance<py::iterable>(grads))
        throw py::type_error("grads: expected arrays in the structure of params, got " + type_name(grads));
    auto items = py::reinterpret_steal<py::object>(PySequence_List(grads.ptr()));
    if (!items) throw py::error_already_set();
    return items;
}

/// Whether a sequence consists of pairs of name and value, as far as the first item tells.
bool begins_with_pair(PyObject* sequence) {
    if (PySequence_Fast_GET_SIZE(sequence) == 0) return false;
    PyObject* const first = PySequence_Fast_GET_ITEM(sequence, 0);
    return PyTuple_Check(first) && PyTuple_GET_SIZE(first) == 2 && PyUnicode_Check(PyTuple_GET_ITEM(first, 0));
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

std::string Names::grad_label(std::size_t tensor, By by) const {
    if (by == By::sum) return "accumulated " + grad_label(tensor, By::name);
    if (by == By::name) return "grads['" + name(tensor) + "']";
    if (by == By::order) return "grads[" + std::to_string(tensor) + "]";
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
                const std::vector<std::string>& keys, const std::shared_ptr<const Tree>& tree,
                const py::list& param_groups, const py::dict& group) {
    std::vector<Entry> added;
    added.reserve(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) added.push_back({labels[i], keys[i], names[i]});
    make_room(entries_, names.size());
    make_room(by_name_.keys, names.size());
    found_.resize(entries_.size() + names.size());
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
        by_name_.keys.push_back(entry.name);
        entries_.push_back(std::move(entry));
    }
    const bool is_first = PyList_GET_SIZE(param_groups.ptr()) == 0;
    require(PyList_Append(param_groups.ptr(), group.ptr()));
    by_name_.count = size();
    tree_ = is_first ? tree : nullptr;
}

/// Removes the parameters that were added last.
void Names::remove_last(std::size_t count) noexcept {
    for (; count > 0; --count) {
        // Looking up existing keys does not allocate.
        if (PyDict_DelItem(places_.ptr(), entries_.back().name.ptr()) != 0) PyErr_Clear();
        entries_.pop_back();
        by_name_.keys.pop_back();
    }
}

Names::Taken Names::take(const py::object& grads, Taker& taker, bool hold) const {
    const bool is_plain =
        PyList_CheckExact(grads.ptr()) || PyTuple_CheckExact(grads.ptr()) || PyDict_CheckExact(grads.ptr());
    if (!is_plain && (is_one_array(grads) || (size() == 1 && is_number(grads)))) return take_one(grads, taker);
    const py::object container = is_plain ? grads : container_of(grads);
    if (!PyDict_Check(container.ptr())) require_sequence(container.ptr(), grads);
    // This comes first because it may run finalizers, and what is found then is borrowed.
    py::object held = hold ? py::tuple(size()) : container;
    const Found found = find_plainly(container.ptr());
    if (!found.arrays || taker.is_wary()) return take_closely(container, found, taker);
    if (hold) {
        for (std::size_t i = 0; i < size(); ++i) {
            Py_INCREF(found.arrays[i]);
            PyTuple_SET_ITEM(held.ptr(), static_cast<Py_ssize_t>(i), found.arrays[i]);
        }
    }
    if (taker.take_plainly(found.arrays)) return {std::move(held), found.by};
    return take_closely(container, found, taker);
}

Names::Taken Names::take_one(const py::object& grad, Taker& taker) const {
    if (size() != 1)
        throw py::type_error("grads: expected " + count_text(size()) + ", one for each parameter, got a single one");
    py::object held = grad;
    taker.prepare(0, held, By::structure);
    taker.take(0, held, By::structure);
    return {std::move(held), By::structure};
}

Names::Taken Names::take_closely(const py::object& container, Found found, Taker& taker) const {
    // References to all of them come first, because examining them may run foreign code, which may change the container.
    std::vector<py::object> arrays;
    if (found.arrays) {
        arrays.reserve(size());
        for (std::size_t i = 0; i < size(); ++i) {
            if (i + objects_ahead < size()) prefetch_line(found.arrays[i + objects_ahead]);
            arrays.push_back(py::reinterpret_borrow<py::object>(found.arrays[i]));
        }
    } else {
        Search search(*this);
        arrays = search.find(container);
        found.by = search.is_by_name() ? By::name : By::structure;
    }
    py::tuple held(size());
    const auto for_each = [&](auto&& visit) {
        for (std::size_t i = 0; i < size(); ++i) {
            if (i + objects_ahead < size()) taker.prefetch(i + objects_ahead, arrays[i + objects_ahead].ptr());
            visit(i);
        }
    };
    for_each([&](std::size_t i) { taker.prepare(i, arrays[i], found.by); });
    for_each([&](std::size_t i) { taker.take(i, arrays[i], found.by); });
    for (std::size_t i = 0; i < size(); ++i)
        PyTuple_SET_ITEM(held.ptr(), static_cast<Py_ssize_t>(i), arrays[i].release().ptr());
    return {std::move(held), found.by};
}

/// Runs no foreign code.
Names::Found Names::find_plainly(PyObject* container) const {
    if (!PyDict_Check(container)) return find_in_sequence(container);
    if (tree_ && tree_->root.kind == Node::Kind::mapping && collect(tree_->root, container, found_.data()))
        return {found_.data(), By::structure};
    if (collect(by_name_, container, found_.data())) return {found_.data(), By::name};
    return {nullptr, By::structure};
}

/// Gradients of groups, and of parameters that were given as pairs, may also be passed in order, without any structure.
Names::Found Names::find_in_sequence(PyObject* sequence) const {
    const bool are_pairs = begins_with_pair(sequence);
    const bool has_structure =
        tree_ && tree_->root.kind != Node::Kind::array && (are_pairs || tree_->root.kind == Node::Kind::sequence);
    if (has_structure && !tree_->root.is_flat()) {
        const bool is_found = collect(tree_->root, sequence, found_.data());
        return {is_found ? found_.data() : nullptr, By::structure};
    }
    if (are_pairs) {
        const bool is_found =
            tree_ && tree_->root.kind == Node::Kind::pairs && collect(tree_->root, sequence, found_.data());
        return {is_found ? found_.data() : nullptr, By::structure};
    }
    const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence));
    if (count != size())
        throw py::value_error("grads: expected " + count_text(size()) +
                              ", one for each parameter (pass None to leave one alone), got " + std::to_string(count));
    const bool is_numbered = tree_ && tree_->root.kind != Node::Kind::pairs;
    return {PySequence_Fast_ITEMS(sequence), is_numbered ? By::structure : By::order};
}

void Names::require_sequence(PyObject* sequence, py::handle given) const {
    if (tree_ && tree_->root.kind == Node::Kind::mapping && !begins_with_pair(sequence))
        throw py::type_error("grads: params is a mapping from name to array, so pass gradients by name; got " +
                             type_name(given));
}

void Names::refuse_missing(std::size_t i) const {
    throw py::value_error("grads: no gradient for " + entries_[i].label + " (pass None to leave a parameter alone)");
}

}  // namespace adamcore::python

#include "structures/watch.hpp"

#include <algorithm>

#include <pybind11/numpy.h>

#include "gate/arrays.hpp"
#include "gate/foreign.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

bool is_mapping(PyObject* object) {
    static const py::handle keys = interned("keys");
    return PyMapping_Check(object) && find_attr(object, keys);
}

/// Who may run while containers are looked through.
enum class Runs : bool { nothing, foreign_code };

/// Looks through a structure. With Runs::nothing, whatever is met is borrowed, and a mapping that only its own code can
/// read ends the search with `is_foreign`. With Runs::foreign_code, containers may change meanwhile, so they are
/// copied before anything in them is looked at.
template <Runs runs>
class Watch {
public:
    static constexpr std::ptrdiff_t none = -1, is_foreign = -2;

    explicit Watch(const Watching& watching) : watching_(watching), first_(watching.tree->root.first) {}

    std::ptrdiff_t find(const Node& node, PyObject* object) const {
        if (node.kind == Node::Kind::array) return is_own(node.first, object) ? none : at(node.first);
        const bool is_dict = PyDict_Check(object);
        if (node.kind == Node::Kind::mapping && !is_dict) {
            if (runs == Runs::nothing) return is_foreign;
            return is_mapping(object) ? find_in_mapping(node, object) : none;
        }
        if (node.kind != Node::Kind::mapping) {
            if (object == watching_.tuples[node.number].ptr()) return none;
            if (!PyList_Check(object) && !PyTuple_Check(object)) return none;
        }
        const py::object held = runs == Runs::foreign_code && !node.is_flat() ? copy_of(object) : py::object();
        PyObject* const container = held ? held.ptr() : object;
        if (node.kind == Node::Kind::mapping) return find_in_dict(node, container);
        return node.kind == Node::Kind::pairs ? find_in_pairs(node, container) : find_in_sequence(node, container);
    }

private:
    static std::ptrdiff_t at(std::size_t number) { return static_cast<std::ptrdiff_t>(number); }

    /// A dict or tuple of the items that a dict, list or tuple has now.
    static py::object copy_of(PyObject* container) {
        if (PyTuple_Check(container)) return py::reinterpret_borrow<py::object>(container);
        PyObject* const copy = PyDict_Check(container) ? PyDict_Copy(container) : PyList_AsTuple(container);
        if (!copy) throw py::error_already_set();
        return py::reinterpret_steal<py::object>(copy);
    }

    bool is_own(std::size_t number, PyObject* object) const {
        return watching_.arrays[number - first_].ptr() == object;
    }

    std::ptrdiff_t find_in_child(const Node& node, std::size_t position, PyObject* value) const {
        if (!node.is_flat()) return find(node.children[position], value);
        const std::size_t number = node.first + position;
        return is_own(number, value) ? none : at(number);
    }

    std::ptrdiff_t find_in_sequence(const Node& node, PyObject* sequence) const {
        const auto there = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence));
        const std::size_t count = std::min(node.size(), there);
        PyObject** const items = PySequence_Fast_ITEMS(sequence);
        if (node.is_flat()) {
            const std::size_t other = find_other(items, watching_.arrays.data() + (node.first - first_), count);
            return other == count ? none : at(node.first + other);
        }
        for (std::size_t k = 0; k < count; ++k) {
            prefetch_item(items, k, there);
            if (const auto found = find(node.children[k], items[k]); found != none) return found;
        }
        return none;
    }

    std::ptrdiff_t find_in_pairs(const Node& node, PyObject* sequence) const {
        const auto there = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence));
        for (std::size_t k = 0; k < std::min(node.size(), there); ++k) {
            PyObject* const pair = PySequence_Fast_GET_ITEM(sequence, static_cast<Py_ssize_t>(k));
            if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) continue;
            if (const auto found = find_in_child(node, k, PyTuple_GET_ITEM(pair, 1)); found != none) return found;
        }
        return none;
    }

    /// A dict is usually still in its original order.
    std::ptrdiff_t find_in_dict(const Node& node, PyObject* dict) const {
        if (node.is_flat() && node.version.is_of(dict)) return none;
        PyObject *key = nullptr, *value = nullptr;
        Py_ssize_t next = 0;
        std::size_t k = 0;
        for (; k < node.size() && PyDict_Next(dict, &next, &key, &value) && key == node.keys[k].ptr(); ++k) {
            if (const auto found = find_in_child(node, k, value); found != none) return found;
        }
        if (k < node.size()) {
            const DictItems items(dict);
            for (; k < node.size(); ++k) {
                value = items.find(node.keys[k].ptr());
                if (!value) continue;
                if (const auto found = find_in_child(node, k, value); found != none) return found;
            }
        }
        if (node.is_flat()) node.version.note(dict);
        return none;
    }

    std::ptrdiff_t find_in_mapping(const Node& node, PyObject* mapping) const {
        for (std::size_t k = 0; k < node.size(); ++k) {
            const py::object value = item_of(mapping, node.keys[k]);
            if (!value) continue;
            if (!node.is_flat() && node.children[k].kind != Node::Kind::array) {
                if (const auto found = find(node.children[k], value.ptr()); found != none) return found;
                continue;
            }
            const std::size_t number = node.is_flat() ? node.first + k : node.children[k].first;
            if (!is_own(number, value.ptr()) && !is_same_memory(watching_.arrays[number - first_], value))
                return at(number);
        }
        return none;
    }

    /// The item, or null if there is none.
    static py::object item_of(PyObject* mapping, const py::object& key) {
        PyObject* const found = run_python([&] { return PyObject_GetItem(mapping, key.ptr()); });
        if (!found) {
            if (!PyErr_ExceptionMatches(PyExc_LookupError)) throw py::error_already_set();
            PyErr_Clear();
        }
        return py::reinterpret_steal<py::object>(found);
    }

    static bool is_same_memory(const py::object& own, const py::object& other) {
        if (is_exactly_numpy(own) && is_exactly_numpy(other))
            return py::detail::array_proxy(own.ptr())->data == py::detail::array_proxy(other.ptr())->data;
        const auto pointer = data_pointer(own);
        return pointer && pointer == data_pointer(other);
    }

    const Watching& watching_;
    std::size_t first_;
};

void note_tuples_in(const Node& node, PyObject* object, std::vector<py::object>& tuples) {
    if (node.kind != Node::Kind::sequence || (!PyTuple_Check(object) && !PyList_Check(object))) {
        if (node.kind != Node::Kind::mapping || node.is_flat() || !PyDict_Check(object)) return;
        const DictItems items(object);
        for (std::size_t k = 0; k < node.children.size(); ++k) {
            if (PyObject* const value = items.find(node.keys[k].ptr())) note_tuples_in(node.children[k], value, tuples);
        }
        return;
    }
    if (node.is_flat() && PyTuple_CheckExact(object)) tuples[node.number] = py::reinterpret_borrow<py::object>(object);
    const auto there = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(object));
    for (std::size_t k = 0; k < std::min(node.children.size(), there); ++k)
        note_tuples_in(node.children[k], PySequence_Fast_GET_ITEM(object, static_cast<Py_ssize_t>(k)), tuples);
}

}  // namespace

/// Without a branch for each pair, compilers vectorize the loop.
std::size_t find_other(PyObject* const* items, const py::object* arrays, std::size_t count) {
    bool differ = false;
    for (std::size_t i = 0; i < count; ++i) differ |= items[i] != arrays[i].ptr();
    for (std::size_t i = 0; differ && i < count; ++i) {
        if (items[i] != arrays[i].ptr()) return i;
    }
    return count;
}

void note_tuples(Watching& watching) {
    watching.tuples.resize(watching.tree->containers);
    note_tuples_in(watching.tree->root, watching.container.ptr(), watching.tuples);
}

std::ptrdiff_t find_replaced(const Watching& watching) {
    const auto found_at_once = Watch<Runs::nothing>(watching).find(watching.tree->root, watching.container.ptr());
    if (found_at_once != Watch<Runs::nothing>::is_foreign) return found_at_once;
    return Watch<Runs::foreign_code>(watching).find(watching.tree->root, watching.container.ptr());
}

}  // namespace adamcore::python

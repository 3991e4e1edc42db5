#include "structures/node.hpp"

#include <algorithm>
#include <utility>

namespace adamcore::python {
namespace {

bool is_plain_key(PyObject* key) { return PyUnicode_CheckExact(key) || PyLong_CheckExact(key); }

bool collect_child(const Node& node, std::size_t position, PyObject* value, PyObject** found) {
    if (!node.is_flat()) return collect(node.children[position], value, found);
    found[node.first + position] = value;
    return true;
}

bool collect_sequence(const Node& node, PyObject* sequence, PyObject** found) {
    PyObject** const items = PySequence_Fast_ITEMS(sequence);
    if (node.is_flat()) {
        std::copy(items, items + node.count, found + node.first);
        return true;
    }
    for (std::size_t k = 0; k < node.size(); ++k) {
        prefetch_item(items, k, node.size());
        if (!collect(node.children[k], items[k], found)) return false;
    }
    return true;
}

bool collect_pairs(const Node& node, PyObject* sequence, PyObject** found) {
    for (std::size_t k = 0; k < node.size(); ++k) {
        PyObject* const pair = PySequence_Fast_GET_ITEM(sequence, static_cast<Py_ssize_t>(k));
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) return false;
        PyObject *const name = PyTuple_GET_ITEM(pair, 0), *const key = node.keys[k].ptr();
        if (name != key &&
            !(PyUnicode_CheckExact(name) && PyUnicode_CheckExact(key) && PyUnicode_Compare(name, key) == 0))
            return false;
        if (!collect_child(node, k, PyTuple_GET_ITEM(pair, 1), found)) return false;
    }
    return true;
}

/// A dict usually has the very keys that the node knows, in their order.
bool collect_mapping(const Node& node, PyObject* dict, PyObject** found) {
    PyObject *key = nullptr, *value = nullptr;
    Py_ssize_t at = 0;
    std::size_t k = 0;
    for (; k < node.size() && PyDict_Next(dict, &at, &key, &value) && key == node.keys[k].ptr(); ++k) {
        if (!collect_child(node, k, value, found)) return false;
    }
    if (k == node.size()) return true;
    if (!has_plain_keys(dict)) return false;
    for (; k < node.size(); ++k) {
        PyObject* const wanted = node.keys[k].ptr();
        value = is_plain_key(wanted) ? PyDict_GetItemWithError(dict, wanted) : nullptr;
        if (!value && PyErr_Occurred()) throw py::error_already_set();
        if (!value || !collect_child(node, k, value, found)) return false;
    }
    return true;
}

/// `containers` is how many have been numbered.
Node read_node(py::handle tree, std::size_t first, std::size_t& containers) {
    Node node;
    node.first = first;
    if (PyLong_Check(tree.ptr())) return node;
    node.count = 0;
    node.number = containers++;
    const auto add = [&](py::handle child) {
        node.children.push_back(read_node(child, first + node.count, containers));
        node.count += node.children.back().count;
    };
    if (PyDict_Check(tree.ptr())) {
        node.kind = Node::Kind::mapping;
        for (const auto& [key, child] : py::reinterpret_borrow<py::dict>(tree)) {
            node.keys.push_back(py::reinterpret_borrow<py::object>(key));
            add(child);
        }
    } else if (PyTuple_Check(tree.ptr())) {
        node.kind = Node::Kind::pairs;
        for (const py::handle pair : py::reinterpret_borrow<py::tuple>(tree)) {
            node.keys.push_back(py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(pair.ptr(), 0)));
            add(PyTuple_GET_ITEM(pair.ptr(), 1));
        }
    } else {
        node.kind = Node::Kind::sequence;
        for (const py::handle child : py::reinterpret_borrow<py::list>(tree)) add(child);
    }
    const bool only_arrays = std::all_of(node.children.begin(), node.children.end(),
                                         [](const Node& child) { return child.kind == Node::Kind::array; });
    if (only_arrays) std::vector<Node>().swap(node.children);
    return node;
}

}  // namespace

Tree read_tree(py::handle tree, std::size_t first) {
    Tree read;
    read.root = read_node(tree, first, read.containers);
    return read;
}

bool collect(const Node& node, PyObject* object, PyObject** found) {
    if (node.kind == Node::Kind::array) {
        found[node.first] = object;
        return true;
    }
    if (node.kind == Node::Kind::mapping)
        return PyDict_Check(object) && static_cast<std::size_t>(PyDict_GET_SIZE(object)) == node.size() &&
               collect_mapping(node, object, found);
    if (!PyList_CheckExact(object) && !PyTuple_CheckExact(object)) return false;
    if (static_cast<std::size_t>(PySequence_Fast_GET_SIZE(object)) != node.size()) return false;
    return node.kind == Node::Kind::pairs ? collect_pairs(node, object, found) : collect_sequence(node, object, found);
}

DictItems::DictItems(PyObject* dict) : dict_(dict), has_plain_keys_(has_plain_keys(dict)) {
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t at = 0; !has_plain_keys_ && PyDict_Next(dict, &at, &key, &value);) by_identity_[key] = value;
}

PyObject* DictItems::find(PyObject* key) const {
    if (!has_plain_keys_) {
        const auto found = by_identity_.find(key);
        return found == by_identity_.end() ? nullptr : found->second;
    }
    PyObject* const value = is_plain_key(key) ? PyDict_GetItemWithError(dict_, key) : nullptr;
    if (!value && PyErr_Occurred()) throw py::error_already_set();
    return value;
}

bool has_plain_keys(PyObject* dict) {
    PyObject* key = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, nullptr);) {
        if (!is_plain_key(key)) return false;
    }
    return true;
}

py::object write_tree(const Node& node) {
    if (node.kind == Node::Kind::array) return py::int_(node.first);
    const auto child = [&](std::size_t k) -> py::object {
        return node.is_flat() ? py::int_(node.first + k) : write_tree(node.children[k]);
    };
    if (node.kind == Node::Kind::sequence) {
        py::list items;
        for (std::size_t k = 0; k < node.size(); ++k) items.append(child(k));
        return std::move(items);
    }
    if (node.kind == Node::Kind::mapping) {
        py::dict items;
        for (std::size_t k = 0; k < node.size(); ++k) items[node.keys[k]] = child(k);
        return std::move(items);
    }
    py::tuple pairs(node.size());
    for (std::size_t k = 0; k < node.size(); ++k) pairs[k] = py::make_tuple(node.keys[k], child(k));
    return std::move(pairs);
}

}  // namespace adamcore::python

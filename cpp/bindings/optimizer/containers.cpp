#include "optimizer/containers.hpp"

#include <algorithm>

#include "runtime/room.hpp"

namespace adamcore::python {
namespace {

/// The index of the first of the group's arrays that has been replaced in the list. Removing an array from the user's
/// own list does not count: there is no other array that should be trained instead.
std::size_t find_in_list(PyObject* list, const Containers::Watched& group) {
    const auto there = static_cast<std::size_t>(PyList_GET_SIZE(list));
    const std::size_t count = std::min(group.arrays.size(), there);
    for (std::size_t i = 0; i < count; ++i) {
        if (PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i)) != group.arrays[i].ptr()) return i;
    }
    return group.arrays.size();
}

/// The same for a dict, which is usually still in its original order. Keys are exact str objects on both sides of every
/// comparison, so comparing them runs no code.
std::size_t find_in_dict(PyObject* dict, const Containers::Watched& group, const Names& names) {
    PyObject *key = nullptr, *value = nullptr;
    Py_ssize_t at = 0;
    std::size_t i = 0;
    while (i < group.arrays.size() && PyDict_Next(dict, &at, &key, &value)) {
        if (value != group.arrays[i].ptr()) break;
        ++i;
    }
    if (i == group.arrays.size()) return i;
    for (at = 0; PyDict_Next(dict, &at, &key, &value);) {
        if (!PyUnicode_CheckExact(key)) return group.arrays.size();
    }
    for (i = 0; i < group.arrays.size(); ++i) {
        PyObject* const found = PyDict_GetItemWithError(dict, names.key(group.first + i).ptr());
        if (found && found != group.arrays[i].ptr()) return i;
    }
    return i;
}

/// Whether a dict is the same as when it was last found unchanged. Python 3.12 and later do not tell.
bool is_as_seen([[maybe_unused]] const Containers::Watched& group) {
#if PY_VERSION_HEX < 0x030C0000
    return reinterpret_cast<PyDictObject*>(group.source.ptr())->ma_version_tag == group.version;
#else
    return false;
#endif
}

void note_as_seen([[maybe_unused]] const Containers::Watched& group) {
#if PY_VERSION_HEX < 0x030C0000
    group.version = reinterpret_cast<PyDictObject*>(group.source.ptr())->ma_version_tag;
#endif
}

[[noreturn]] void refuse_replaced(const Containers::Watched& group, std::size_t i, const Names& names) {
    throw py::value_error(
        names.label(group.first + i) + ": another array has taken its place in the " +
        (PyDict_Check(group.source.ptr()) ? "dict" : "list") +
        " that the optimizer was made from, but the optimizer still updates the old one. Write into the "
        "old array (a[...] = new), or make a new optimizer for the new arrays and move the state with "
        "load_state_dict()");
}

}  // namespace

Containers::Watched Containers::look_at(const py::dict& group, const py::object& source, std::size_t first) {
    Containers::Watched found;
    found.dict = group;
    found.params = group["params"];
    if (!source.is_none()) found.source = source;
    found.first = first;
    for (const py::handle array : py::reinterpret_borrow<py::list>(found.params))
        found.arrays.push_back(py::reinterpret_borrow<py::object>(array));
    return found;
}

void Containers::make_room() { python::make_room(groups_, 1); }

void Containers::require_unchanged(const py::list& param_groups, const Names& names, const std::string& owner) const {
    static PyObject* const params_key = PyUnicode_InternFromString("params");
    const auto there = static_cast<std::size_t>(PyList_GET_SIZE(param_groups.ptr()));
    if (there != groups_.size())
        throw py::value_error(owner + ": param_groups has " + std::to_string(there) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        const Containers::Watched& group = groups_[i];
        const auto place = [&] { return owner + ": param_groups[" + std::to_string(i) + "]"; };
        PyObject* const dict = PyList_GET_ITEM(param_groups.ptr(), static_cast<Py_ssize_t>(i));
        if (dict != group.dict.ptr())
            throw py::value_error(place() +
                                  " is not the dict that was added there: groups cannot be replaced or reordered. "
                                  "Write hyper-parameters into the existing dicts");
        PyObject* const params = PyDict_GetItemWithError(dict, params_key);
        if (PyErr_Occurred()) throw py::error_already_set();
        const bool same = params == group.params.ptr() && PyList_Check(params) &&
                          static_cast<std::size_t>(PyList_GET_SIZE(params)) == group.arrays.size() &&
                          find_in_list(params, group) == group.arrays.size();
        if (!same)
            throw py::value_error(
                place() +
                "['params'] has been changed, but the optimizer still updates the original arrays. "
                "Write into those arrays (a[...] = new), add new ones with add_param_group, or make a new "
                "optimizer");
        PyObject* const source = group.source.ptr();
        std::size_t replaced = group.arrays.size();
        if (source && PyList_Check(source)) replaced = find_in_list(source, group);
        if (source && PyDict_Check(source) && !is_as_seen(group)) {
            replaced = find_in_dict(source, group, names);
            if (replaced == group.arrays.size()) note_as_seen(group);
        }
        if (replaced < group.arrays.size()) refuse_replaced(group, replaced, names);
    }
}

std::vector<py::dict> Containers::dicts() const {
    std::vector<py::dict> all;
    for (const Containers::Watched& group : groups_) all.push_back(py::reinterpret_borrow<py::dict>(group.dict));
    return all;
}

int Containers::traverse(visitproc visit, void* arg) const {
    for (const Containers::Watched& group : groups_) {
        Py_VISIT(group.dict.ptr());
        Py_VISIT(group.params.ptr());
        Py_VISIT(group.source.ptr());
        for (const py::object& array : group.arrays) Py_VISIT(array.ptr());
    }
    return 0;
}

}  // namespace adamcore::python

#include "structures/containers.hpp"

#include <algorithm>

#include "gate/foreign.hpp"
#include "runtime/room.hpp"
#include "structures/watch.hpp"

namespace adamcore::python {
namespace {

constexpr const char* way_on =
    "but the optimizer still updates the old one. Write into the old array (a[...] = new), or call "
    "opt.rebind(params), which goes on with the new arrays and the state that there is";

[[noreturn]] void refuse_replaced(const Containers::Watched& group, std::size_t i, const Names& names) {
    PyObject* const container = group.source.container.ptr();
    const char* const kind = PyDict_Check(container) ? "dict" : PyList_Check(container) ? "list" : "container";
    throw py::value_error(names.label(i) + ": another array has taken its place in the " + kind +
                          " that the optimizer was made from, " + way_on);
}

/// Raises an error if `params`, which is what the group at `index` has under "params" now, is not a list of its arrays.
void require_same_params(PyObject* params, const Containers::Watched& group, std::size_t index, const Names& names,
                         const std::string& owner) {
    const auto place = [&] { return owner + ": param_groups[" + std::to_string(index) + "]"; };
    const bool is_list = params && (PyList_Check(params) || PyTuple_Check(params));
    const auto there = is_list ? static_cast<std::size_t>(PySequence_Fast_GET_SIZE(params)) : 0;
    const std::vector<py::object>& arrays = group.source.arrays;
    const std::size_t count = std::min(there, arrays.size());
    const std::size_t other = count > 0 ? find_other(PySequence_Fast_ITEMS(params), arrays.data(), count) : 0;
    if (other < count)
        throw py::value_error(place() + "['params'] has been changed: " +
                              names.label(group.source.tree->root.first + other) + " is another array now, " + way_on);
    if (!is_list || there != arrays.size())
        throw py::value_error(place() +
                              "['params'] has been changed, but the optimizer still updates the original arrays. Add "
                              "arrays with add_param_group, or call opt.rebind(params) to exchange all of them");
}

}  // namespace

Containers::Watched Containers::look_at(const py::dict& group, const py::object& source,
                                        std::shared_ptr<const Tree> tree) {
    return look_at(group, py::reinterpret_borrow<py::list>(group["params"]), source, std::move(tree));
}

Containers::Watched Containers::look_at(const py::dict& group, const py::list& params, const py::object& source,
                                        std::shared_ptr<const Tree> tree) {
    Watched found;
    found.dict = group;
    found.source.tree = std::move(tree);
    for (const py::handle array : params) found.source.arrays.push_back(py::reinterpret_borrow<py::object>(array));
    if (!source.is_none()) {
        found.source.container = source;
        note_tuples(found.source);
    }
    return found;
}

void Containers::make_room() { python::make_room(groups_, 1); }

void Containers::require_unchanged(const py::list& param_groups, const Names& names, const std::string& owner) const {
    static PyObject* const params_key = interned("params").ptr();
    const auto there = static_cast<std::size_t>(PyList_GET_SIZE(param_groups.ptr()));
    if (there != groups_.size())
        throw py::value_error(owner + ": param_groups has " + std::to_string(there) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        const Watched& group = groups_[i];
        // A user's mapping may run code that changes the list.
        PyObject* const dict = PyList_GetItem(param_groups.ptr(), static_cast<Py_ssize_t>(i));
        if (!dict) {
            PyErr_Clear();
            throw py::value_error(owner + ": param_groups has been changed while a step read it");
        }
        if (dict != group.dict.ptr())
            throw py::value_error(owner + ": param_groups[" + std::to_string(i) +
                                  "] is not the dict that was added there: groups cannot be replaced or reordered. "
                                  "Write hyper-parameters into the existing dicts");
        PyObject* const params = PyDict_GetItemWithError(dict, params_key);
        if (PyErr_Occurred()) throw py::error_already_set();
        require_same_params(params, group, i, names, owner);
        if (!group.source.container) continue;
        const std::ptrdiff_t replaced = find_replaced(group.source);
        if (replaced >= 0) refuse_replaced(group, static_cast<std::size_t>(replaced), names);
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
        Py_VISIT(group.source.container.ptr());
        for (const py::object& array : group.source.arrays) Py_VISIT(array.ptr());
        for (const py::object& tuple : group.source.tuples) Py_VISIT(tuple.ptr());
    }
    return 0;
}

}  // namespace adamcore::python

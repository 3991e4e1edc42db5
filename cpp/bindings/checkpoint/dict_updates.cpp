#include "checkpoint/dict_updates.hpp"

#include <string>

#include "runtime/text.hpp"

namespace adamcore::python {

DictUpdates::DictUpdates(const std::vector<py::dict>& groups, const py::list& values) {
    for (std::size_t i = 0; i < groups.size(); ++i)
        add(groups[i], py::reinterpret_borrow<py::dict>(values[i]),
            "state_dict['param_groups'][" + std::to_string(i) + "]");
}

DictUpdates::DictUpdates(const py::list& pairs) {
    for (const py::handle item : pairs) {
        const auto pair = py::reinterpret_borrow<py::tuple>(item);
        add(pair[0], pair[1], "state_dict['schedules']");
    }
}

void DictUpdates::add(const py::dict& dict, const py::dict& values, const std::string& label) {
    for (const auto& [key, value] : values) {
        const py::object old = py::reinterpret_borrow<py::object>(PyDict_GetItemWithError(dict.ptr(), key.ptr()));
        if (!old) throw py::value_error(label + ": unknown option " + repr_of(key));
        updates_.push_back(
            {dict, py::reinterpret_borrow<py::object>(key), py::reinterpret_borrow<py::object>(value), old});
    }
}

void DictUpdates::apply() noexcept {
    for (const Update& update : updates_) {
        // The key exists, so its value is replaced and nothing is allocated.
        if (PyDict_SetItem(update.dict.ptr(), update.key.ptr(), update.value.ptr()) != 0) PyErr_Clear();
    }
}

}  // namespace adamcore::python

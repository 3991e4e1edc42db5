#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "runtime/text.hpp"

/// Checks of the dicts that make up a checkpoint. `where` is the position of one, whose text is created only for an
/// error: a string, or something that has text_of().
namespace adamcore::python {

namespace py = pybind11;

inline std::string text_of(const char* where) { return where; }

inline std::string and_more(std::size_t count) {
    return count > 1 ? " (and " + std::to_string(count - 1) + " more)" : "";
}

/// Raises TypeError unless the object is a mapping.
template <class Where>
py::dict as_dict(const py::object& object, const Where& where) {
    if (PyDict_CheckExact(object.ptr())) return py::reinterpret_borrow<py::dict>(object);
    if (!PyMapping_Check(object.ptr()) || !py::hasattr(object, "keys"))
        throw py::type_error(text_of(where) + ": expected a dict, got " + type_name(object));
    return py::dict(object);
}

/// Raises ValueError unless a dict has exactly these keys.
template <class Where>
void require_names(const py::dict& found, const std::vector<py::object>& expected, const Where& where) {
    std::vector<std::string> missing, surplus;
    for (const py::object& name : expected) {
        if (!found.contains(name)) missing.push_back(repr_of(name));
    }
    std::sort(missing.begin(), missing.end());
    if (!missing.empty())
        throw py::value_error(text_of(where) + ": " + missing.front() + " is missing" + and_more(missing.size()));
    if (found.size() == expected.size()) return;
    py::set known;
    for (const py::object& name : expected) known.add(name);
    for (const auto& item : found) {
        if (!known.contains(item.first)) surplus.push_back(repr_of(item.first));
    }
    std::sort(surplus.begin(), surplus.end());
    throw py::value_error(text_of(where) + ": " + surplus.front() + " is not in the optimizer" +
                          and_more(surplus.size()));
}

}  // namespace adamcore::python

#pragma once

#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "runtime/dict_version.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Remembers a dict, so that a step finds in a few loads for each key that nothing that it reads has changed.
class SeenDict {
public:
    /// Whether the dict has the same keys in the same order as at the last call of note(), and the values that are read
    /// are the same and cannot have changed themselves. Runs no code.
    bool is_same(PyObject* dict) noexcept {
        if (version_.is_of(dict)) return true;
        if (items_.empty() || PyDict_GET_SIZE(dict) != static_cast<Py_ssize_t>(items_.size())) return false;
        PyObject *key = nullptr, *value = nullptr;
        Py_ssize_t at = 0;
        for (std::size_t i = 0; PyDict_Next(dict, &at, &key, &value); ++i) {
            if (key != items_[i].first.ptr() || (items_[i].second && value != items_[i].second.ptr())) return false;
        }
        version_.note(dict);
        return true;
    }

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* arg) const {
        for (const auto& [key, value] : items_) Py_VISIT(value.ptr());
        return 0;
    }

    void forget() noexcept {
        version_.forget();
        items_.clear();
    }

    /// Remembers a dict, unless it has values that may change. `is_read(key)` tells which values count.
    template <class IsRead>
    void note(PyObject* dict, IsRead&& is_read) {
        forget();
        PyObject *key = nullptr, *value = nullptr;
        Py_ssize_t at = 0;
        while (PyDict_Next(dict, &at, &key, &value)) {
            if (!PyUnicode_CheckExact(key)) return forget();
            const bool counts = is_read(key);
            if (counts && !is_constant(value)) return forget();
            items_.emplace_back(py::reinterpret_borrow<py::object>(key),
                                counts ? py::reinterpret_borrow<py::object>(value) : py::object());
        }
        version_.note(dict);
    }

private:
    static bool is_constant(PyObject* value) {
        if (PyTuple_CheckExact(value)) {
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
                if (!is_constant_item(PyTuple_GET_ITEM(value, i))) return false;
            }
            return true;
        }
        return is_constant_item(value) || PyUnicode_CheckExact(value);
    }

    /// (A schedule gives other numbers in each step, but is the same schedule.)
    static bool is_constant_item(PyObject* value) {
        return PyFloat_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value) || value == Py_None ||
               PyCallable_Check(value);
    }

    /// Keys, and values that are read.
    std::vector<std::pair<py::object, py::object>> items_;
    DictVersion version_;
};

}  // namespace adamcore::python

#pragma once

#include <vector>

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// New values for existing keys of dicts. They are prepared first and applied last: apply() cannot fail and runs no
/// code, because the old values are kept until this object is destroyed.
class DictUpdates {
public:
    /// `groups` are the dicts, and `values` is a list of as many dicts.
    DictUpdates(const std::vector<py::dict>& groups, const py::list& values);
    /// `pairs` is a list of tuples of two dicts: one with keys, and the new values.
    explicit DictUpdates(const py::list& pairs);
    void apply() noexcept;

private:
    void add(const py::dict& dict, const py::dict& values, const std::string& label);

    struct Update {
        py::dict dict;
        py::object key, value, old;
    };
    std::vector<Update> updates_;
};

}  // namespace adamcore::python

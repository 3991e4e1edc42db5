#pragma once

#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "structures/names.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Finds gradients by name in a structure of any kind: dicts and other mappings, lists and tuples, in any depth. The
/// name of an item is that of its container, ".", and str() of its key or position. An entry may also have a whole name
/// as its key. None in place of a container stands for all gradients in it.
class Search {
public:
    explicit Search(const Names& names) : names_(names), found_(names.size()) {}

    /// Returns an object for each parameter. Raises TypeError or ValueError that names the entry if there is one that
    /// belongs to no parameter, or a parameter without an entry. May run foreign code.
    std::vector<py::object> find(const py::object& grads);

    /// Whether all gradients were entries of the outermost mapping.
    bool is_by_name() const { return !is_nested_; }

private:
    /// Where an entry is: its container's place and its key in the container.
    struct Place {
        const Place* outer;
        py::handle key;
        const std::string& name;
    };

    void walk(py::handle container, const Place* place);
    void enter(py::handle value, py::handle key, const Place* outer);
    bool take(py::handle value, const Place& place);
    bool take_none(const Place& place);
    [[noreturn]] void refuse_unknown(py::handle value, const Place& place) const;
    static std::string label_of(const Place* place);

    const Names& names_;
    std::vector<py::object> found_;
    bool is_nested_ = false;
};

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "optimizer/names.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// The lists and dicts in which a user sees an optimizer's parameters: who writes another array there would go on
/// training the old one. A step looks, and raises.
class Containers {
public:
    /// A group: its dict in `param_groups`, the list of parameters in that, and the list or dict that the user passed.
    /// Others are not watched: None, generators, mappings of one's own.
    struct Watched {
        py::object dict, params, source;
        std::size_t first = 0;              ///< its first parameter among all
        std::vector<py::object> arrays;     ///< as they were passed
        mutable std::uint64_t version = 0;  ///< of the user's dict, when it was looked through last
    };

    /// A group whose first parameter has the place `first`; `source` is what the user passed, or None.
    static Watched look_at(const py::dict& group, const py::object& source, std::size_t first);
    /// Room for one more, so that add() cannot fail.
    void make_room();
    void add(Watched group) noexcept { groups_.push_back(std::move(group)); }

    /// Raises ValueError that says what has changed. Runs no one's code.
    void require_unchanged(const py::list& param_groups, const Names& names, const std::string& owner) const;

    /// The groups' dicts.
    std::vector<py::dict> dicts() const;

    /// For the garbage collector.
    int traverse(visitproc visit, void* arg) const;

private:
    std::vector<Watched> groups_;
};

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "optimizer/names.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Watches the lists and dicts in which a user sees the optimizer's parameters. If the user replaces an array there,
/// the optimizer would keep training the old one, so the next step raises an error.
class Containers {
public:
    /// A group: its dict in `param_groups`, the list of parameters in this dict, and the list or dict that the user
    /// passed. Other containers, such as generators and the user's own mappings, are not watched.
    struct Watched {
        py::object dict, params, source;
        std::size_t first = 0;              ///< its first parameter among all
        std::vector<py::object> arrays;     ///< as they were passed
        mutable std::uint64_t version = 0;  ///< of the user's dict, when it was looked through last
    };

    /// A group whose first parameter has the index `first`. `source` is what the user passed, or None.
    static Watched look_at(const py::dict& group, const py::object& source, std::size_t first);
    /// Room for one more, so that add() cannot fail.
    void make_room();
    void add(Watched group) noexcept { groups_.push_back(std::move(group)); }

    /// Raises ValueError that says what has changed. Runs no foreign code.
    void require_unchanged(const py::list& param_groups, const Names& names, const std::string& owner) const;

    /// The groups' dicts.
    std::vector<py::dict> dicts() const;

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* arg) const;

private:
    std::vector<Watched> groups_;
};

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "structures/names.hpp"
#include "structures/node.hpp"
#include "structures/watch.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Watches the containers in which a user sees the optimizer's parameters: lists, tuples, dicts and other mappings, in
/// any depth. If the user replaces an array there, the optimizer would keep training the old one, so the next step
/// raises an error. Arrays that are added or removed do not matter.
class Containers {
public:
    /// A group: its dict in `param_groups`, and the container that the user passed. Containers that are not watched,
    /// such as generators, are null.
    struct Watched {
        py::object dict;
        Watching source;
    };

    /// `source` is what the user passed, or None.
    static Watched look_at(const py::dict& group, const py::object& source, std::shared_ptr<const Tree> tree);
    /// The same for `params`, a list of arrays that the group's dict does not have yet.
    static Watched look_at(const py::dict& group, const py::list& params, const py::object& source,
                           std::shared_ptr<const Tree> tree);
    /// Room for one more, so that add() cannot fail.
    void make_room();
    void add(Watched group) noexcept { groups_.push_back(std::move(group)); }

    /// Raises ValueError that says what has changed. Runs no foreign code, unless the user passed a mapping that is not
    /// a dict.
    void require_unchanged(const py::list& param_groups, const Names& names, const std::string& owner) const;

    /// What is watched of a group.
    const Watching& source_of(std::size_t group) const { return groups_[group].source; }

    /// The groups' dicts.
    std::vector<py::dict> dicts() const;

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* arg) const;

private:
    std::vector<Watched> groups_;
};

}  // namespace adamcore::python

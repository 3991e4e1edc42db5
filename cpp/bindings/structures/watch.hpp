#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <pybind11/pybind11.h>

#include "structures/node.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// A user's container, and what the optimizer took from it.
struct Watching {
    py::object container;
    std::shared_ptr<const Tree> tree;
    std::vector<py::object> arrays;  ///< by their numbers, counted from the tree's first
    /// Tuples that contain only arrays, by their nodes' numbers. As long as a tuple is in its place, so are its arrays.
    std::vector<py::object> tuples;
};

/// The first of `count` positions at which two arrays of objects differ, or `count`.
std::size_t find_other(PyObject* const* items, const py::object* arrays, std::size_t count);

/// Notes the tuples in `watching.container`.
void note_tuples(Watching& watching);

/// The number of the first array in whose place the container has another object, or -1. Arrays that have been removed
/// or added do not count: there is no other array that should be trained instead. Runs no foreign code in lists, tuples
/// and dicts; an item of another mapping is read by its `[]`, and counts as the same if it has the same memory.
std::ptrdiff_t find_replaced(const Watching& watching);

}  // namespace adamcore::python

#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/tensor.hpp"
#include "regions/apart.hpp"

namespace adamcore::python {

namespace py = pybind11;

inline bool is_list(PyObject* value) { return PyList_CheckExact(value) || PyTuple_CheckExact(value); }

/// The items of a list or tuple. They are kept, whatever happens to the list.
class HeldItems {
public:
    explicit HeldItems(PyObject* list);

    std::size_t size() const { return static_cast<std::size_t>(PyTuple_GET_SIZE(tuple_.ptr())); }
    PyObject* const* data() const { return &PyTuple_GET_ITEM(tuple_.ptr(), 0); }

private:
    py::object tuple_;
};

/// The arrays of an update without an optimizer, where all are plain (gate/plain.hpp). There are several kinds of them:
/// parameters, gradients, and the state of each slot; and as many of each kind as there are parameters.
class PlainArrays {
public:
    static constexpr std::size_t most_kinds = 2 + max_slots;

    /// Takes one array or list of each kind, and holds what is in lists; single arrays must outlive the object. Returns
    /// false unless all are lists of one length or none is.
    bool hold(PyObject* const* given, std::size_t kinds);

    /// The number of parameters.
    std::size_t size() const { return size_; }

    /// Points a tensor to the arrays at `at`. Returns false unless they are plain and fit together. Runs no foreign
    /// code.
    bool take(std::size_t at, Tensor& tensor);

    /// Whether no array that is written shares memory with another one of those that were taken.
    bool are_apart() const { return python::are_apart(many_.empty() ? few_.data() : many_.data(), extent_count_); }

private:
    std::array<PyObject*, most_kinds> single_{};
    std::array<PyObject* const*, most_kinds> of_{};  ///< the arrays of each kind
    std::vector<HeldItems> held_;
    std::size_t kinds_ = 0, size_ = 1;
    std::array<Extent, most_kinds> few_;
    std::vector<Extent> many_;
    std::size_t extent_count_ = 0;
};

}  // namespace adamcore::python

#pragma once

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// A context manager that calls functions, and their counterparts at the end.
///
/// Python handles signals between two instructions of its bytecode. In a context manager written in Python, there are
/// some between the call that changes something and the `try` that makes up for it. Here there are none, if the
/// functions have none either.
class Paired {
public:
    /// `pairs` are tuples of two functions without arguments.
    explicit Paired(py::list pairs) : pairs_(std::move(pairs)) {}
    ~Paired();
    Paired(const Paired&) = delete;
    Paired& operator=(const Paired&) = delete;

    /// Calls the first function of each pair, and returns what they return. If one raises an error, the counterparts of
    /// those before it are called.
    py::list enter();
    /// Calls the counterparts, the last one first. Raises the first of their errors when all have been called.
    void leave();

private:
    py::list pairs_;
    std::size_t entered_ = 0;
};

/// Calls functions without arguments, one after the other, in the same way.
void call_all(const py::list& functions);

/// Defines both in a module.
void define_paired(py::module_& m);

}  // namespace adamcore::python

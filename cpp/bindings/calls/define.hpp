#pragma once

#include <exception>
#include <limits>
#include <new>
#include <utility>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "calls/bare.hpp"
#include "gate/written.hpp"
#include "runtime/environment.hpp"

/// Functions that the modules for the CPU and for CUDA both define, each for its own arrays.
namespace adamcore::python {

/// The error for failed allocations of our own tables. Errors for arrays and state name the array.
inline void define_errors() {
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const std::bad_alloc&) {
            PyErr_SetString(PyExc_MemoryError, "adamcore: no memory for its own tables; nothing has changed");
        }
    });
}

/// Defines the calls on arrays without an optimizer. An object of `Calls` is created for each call. Its gate accepts
/// the arrays, and its other functions update, measure and rescale them.
template <class Calls>
void define_calls(py::module_& m) {
    using Labels = std::vector<std::string>;
    m.def(
        "update",
        [](std::string rule, std::string owner, py::dict hyper, bool maximize, py::list params, py::list grads,
           std::vector<py::list> state, std::vector<std::int64_t> t, std::vector<std::string> names, bool indexed,
           std::map<std::string, std::string> renamed) {
            const BareUpdate bare{std::move(rule),   std::move(owner), std::move(hyper),  maximize,
                                  std::move(params), std::move(grads), std::move(state),  std::move(t),
                                  std::move(names),  indexed,          std::move(renamed)};
            Calls calls;
            const CheckedUpdate checked = check(bare, calls.gate());
            calls.update(checked);
            note_written(bare);
        },
        py::arg("rule"), py::arg("owner"), py::arg("hyper"), py::arg("maximize"), py::arg("params"), py::arg("grads"),
        py::arg("state"), py::arg("t"), py::arg("names"), py::arg("indexed"), py::arg("renamed"),
        "One update of plain arrays, in place. Raises an error before anything has changed.", Computes());
    m.def(
        "global_norm",
        [](const py::list& arrays, const Labels& labels) {
            Calls calls;
            return calls.measure(take_all(arrays, labels, calls.gate()), Clip::none, 0).norm;
        },
        py::arg("arrays"), py::arg("labels"), "The L2 norm of all arrays together.", Computes());
    m.def(
        "clip_norm",
        [](const py::list& arrays, const Labels& labels, double max_norm) {
            Calls calls;
            const std::vector<Taken> taken = take_written(arrays, labels, calls.gate());
            const Measurement measured = calls.measure(taken, Clip::norm, max_norm);
            if (measured.factor < 1) {
                calls.rescale(taken, measured.factor, std::numeric_limits<double>::infinity());
                note_written_among(arrays);
            }
            return measured.norm;
        },
        py::arg("arrays"), py::arg("labels"), py::arg("max_norm"),
        "Scale arrays in place so that their norm is at most max_norm; return the norm before. Arrays whose norm is "
        "not "
        "finite are not modified.",
        Computes());
    m.def(
        "clip_value",
        [](const py::list& arrays, const Labels& labels, double value) {
            Calls calls;
            calls.rescale(take_written(arrays, labels, calls.gate()), 1, value);
            note_written_among(arrays);
        },
        py::arg("arrays"), py::arg("labels"), py::arg("value"),
        "Clip the elements of arrays to [-value, value], in place.", Computes());
}

}  // namespace adamcore::python

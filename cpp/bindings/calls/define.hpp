#pragma once

#include <exception>
#include <new>
#include <utility>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "calls/bare.hpp"
#include "runtime/environment.hpp"

/// Functions that the modules of the CPU and of CUDA both have, each of its own arrays.
namespace adamcore::python {

/// What is raised where there is no memory for tables of our own; for arrays and state, errors name them.
inline void define_errors() {
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const std::bad_alloc&) {
            PyErr_SetString(PyExc_MemoryError, "adamcore: no memory for its own tables; nothing has changed");
        }
    });
}

inline void define_update(py::module_& m, void (*run)(const BareUpdate&)) {
    m.def(
        "update",
        [run](std::string rule, std::string owner, py::dict hyper, bool maximize, py::list params, py::list grads,
              std::vector<py::list> state, std::vector<std::int64_t> t, std::vector<std::string> names, bool indexed,
              std::map<std::string, std::string> renamed) {
            run({std::move(rule), std::move(owner), std::move(hyper), maximize, std::move(params), std::move(grads),
                 std::move(state), std::move(t), std::move(names), indexed, std::move(renamed)});
        },
        py::arg("rule"), py::arg("owner"), py::arg("hyper"), py::arg("maximize"), py::arg("params"), py::arg("grads"),
        py::arg("state"), py::arg("t"), py::arg("names"), py::arg("indexed"), py::arg("renamed"),
        "One update of bare arrays, in place.", Computes());
}

using Labels = std::vector<std::string>;

inline void define_norms(py::module_& m, double (*global_norm)(const py::list&, const Labels&),
                         double (*clip_norm)(const py::list&, const Labels&, double),
                         void (*clip_value)(const py::list&, const Labels&, double)) {
    m.def("global_norm", global_norm, py::arg("arrays"), py::arg("labels"), "The L2 norm of all arrays together.",
          Computes());
    m.def("clip_norm", clip_norm, py::arg("arrays"), py::arg("labels"), py::arg("max_norm"),
          "Scale arrays in place so that their norm is at most max_norm; return what it was.", Computes());
    m.def("clip_value", clip_value, py::arg("arrays"), py::arg("labels"), py::arg("value"),
          "Hold the elements of arrays to [-value, value], in place.", Computes());
}

}  // namespace adamcore::python

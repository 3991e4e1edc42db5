#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/weights/average.hpp"
#include "runtime/collected.hpp"
#include "runtime/environment.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Defines the members that the classes for the CPU and for CUDA share. T is derived from BoundOptimizer.
template <class T>
py::class_<T> define_optimizer(py::module_& m, const char* class_name) {
    py::class_<T> optimizer(m, class_name, collected<T>(), "The native part of an optimizer.");
    optimizer
        .def("add_group", &T::add_group, py::arg("param_groups"), py::arg("group"), py::arg("source"), py::arg("names"),
             py::arg("labels"), py::arg("keys"), py::arg("tree"), py::arg("variant_keys"), py::arg("variant"),
             py::arg("checked"), Computes())
        .def("rebind", &T::rebind, py::arg("params"), Computes())
        .def("state", &T::state, py::arg("tensor"))
        .def("steps", &T::steps, py::arg("tensor"))
        .def("require_idle", &T::require_idle)
        .def("settle", &T::settle, Computes())
        .def("snapshot", &T::snapshot)
        .def("borrow", &T::borrow)
        .def("give_back", &T::give_back)
        .def("require_params", &T::require_params, py::arg("param_groups"))
        .def("restore", &T::restore, py::arg("values"), py::arg("state"), py::arg("completed"), py::arg("numbers"),
             py::arg("to_numpy"), py::arg("rules"), py::arg("family"), py::arg("checked"), py::arg("memories"),
             py::arg("averages"), py::arg("window"), py::arg("params") = py::none())
        .def("forms", &T::forms)
        .def(
            "add_average",
            [](T& self, const std::string& name, int kind, double decay, bool warms_up, double alpha,
               std::int64_t every, std::int64_t start) {
                self.add_average(name, {static_cast<WeightAverage::Kind>(kind), decay, warms_up, alpha, every, start});
            },
            py::arg("name"), py::arg("kind"), py::arg("decay"), py::arg("warms_up"), py::arg("alpha"), py::arg("every"),
            py::arg("start"), Computes())
        .def("exchange", &T::exchange, py::arg("name"), py::arg("back"), Computes())
        .def_property_readonly("averages", &T::averages)
        .def("approach", &T::approach, py::arg("slot"), py::arg("shares"), Computes())
        .def("reset_state", &T::reset_state, py::arg("parameters"), Computes())
        .def("rescale_state", &T::rescale_state, py::arg("parameters"), py::arg("factor"), Computes())
        .def_property_readonly("places", &T::places)
        .def_property_readonly("completed", &T::completed)
        .def_property_readonly("accumulated", &T::accumulated)
        .def_property_readonly("numbers", &T::numbers)
        .def("__len__", &T::size);
    keep_memory_for_instances<T>();
    return optimizer;
}

}  // namespace adamcore::python

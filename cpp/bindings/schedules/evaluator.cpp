#include "schedules/evaluator.hpp"

#include <cmath>

#include <pybind11/numpy.h>

#include "adamcore/cpu/float_environment.hpp"
#include "runtime/collected.hpp"
#include "runtime/environment.hpp"
#include "runtime/fast_call.hpp"
#include "runtime/interned.hpp"
#include "runtime/text.hpp"
#include "schedules/make.hpp"

namespace adamcore::python {
namespace {

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

std::string wanted(const Evaluator& evaluator, py::handle t) {
    return evaluator.name() + ": t must be a number >= 0, or an array of such numbers, got " + repr_of(t);
}

bool is_clock(double t) { return t >= 0 && std::isfinite(t); }

bool is_numeric(const py::dtype& type) { return type.kind() == 'i' || type.kind() == 'u' || type.kind() == 'f'; }

bool is_plain_number(py::handle t) {
    return PyFloat_Check(t.ptr()) || (PyLong_Check(t.ptr()) && !PyBool_Check(t.ptr()));
}

double number_from(const Evaluator& evaluator, py::handle t) {
    if (!is_plain_number(t)) throw py::type_error(wanted(evaluator, t));
    const double x = PyFloat_AsDouble(t.ptr());
    const bool is_large = x == -1.0 && PyErr_Occurred();  // beyond the range of double
    if (!is_large && is_clock(x)) return x;
    PyErr_Clear();
    throw py::value_error(wanted(evaluator, t));
}

py::object values_at(const Evaluator& evaluator, const py::array& t) {
    if (!is_numeric(t.dtype()))
        throw py::type_error(wanted(evaluator, t) + " of dtype " + py::str(t.dtype()).cast<std::string>());
    const Doubles times(t);
    const double* const from = times.data();
    const py::ssize_t size = times.size();
    for (py::ssize_t i = 0; i < size; ++i) {
        if (!is_clock(from[i]))
            throw py::value_error(evaluator.name() + ": t must be an array of numbers >= 0, and one of them is " +
                                  repr_of(py::float_(from[i])));
    }
    Doubles values(std::vector<py::ssize_t>(times.shape(), times.shape() + times.ndim()));
    double* const to = values.mutable_data();
    for (py::ssize_t i = 0; i < size; ++i) to[i] = evaluator(from[i]);
    return std::move(values);
}

/// Whether `t` is an array, or a scalar of NumPy, which is treated as an array without axes.
bool is_numpys(py::handle t) {
    return py::isinstance<py::array>(t) || py::isinstance(t, py::module_::import("numpy").attr("generic"));
}

py::object evaluate(const Evaluator& evaluator, py::handle t) {
    const cpu::FloatEnvironment environment;
    if (is_plain_number(t) || !is_numpys(t)) return py::float_(evaluator(number_from(evaluator, t)));
    const py::object values = values_at(evaluator, py::array(py::reinterpret_borrow<py::object>(t)));
    return py::isinstance<py::array>(t) ? values : py::object(values.attr("item")());
}

PyObject* call_evaluator(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return translate_errors(
        [&]() -> PyObject* {
            require_arguments(count, 1);
            auto* const instance = reinterpret_cast<py::detail::instance*>(self);
            const auto* const evaluator = static_cast<Evaluator*>(instance->get_value_and_holder().value_ptr());
            if (!evaluator) throw py::type_error("Evaluator: make_evaluator() makes them");
            return evaluate(*evaluator, arguments[0]).release().ptr();
        },
        static_cast<PyObject*>(nullptr));
}

PyMethodDef call_definition =
    fast_method("__call__", call_evaluator, "__call__($self, t, /)\n--\n\nThe value at `t`, a number or an array.");

}  // namespace

const Evaluator* evaluator_of(py::handle schedule) {
    // The attribute is one of the class: an object that passes all attributes on to a schedule may be called otherwise.
    static PyObject* const name = interned("_evaluator").ptr();
    const auto type = reinterpret_cast<PyObject*>(Py_TYPE(schedule.ptr()));
    const auto slot = py::reinterpret_steal<py::object>(PyObject_GetAttr(type, name));
    const bool is_slot = slot && Py_TYPE(slot.ptr()) == &PyMemberDescr_Type;
    const auto found = py::reinterpret_steal<py::object>(is_slot ? PyObject_GetAttr(schedule.ptr(), name) : nullptr);
    PyErr_Clear();
    return found && py::isinstance<Evaluator>(found) ? found.cast<const Evaluator*>() : nullptr;
}

void define_schedules(py::module_& m) {
    py::class_<Evaluator> evaluator(m, "Evaluator", collected<Evaluator>(), "The native part of a schedule.");
    keep_memory_for_instances<Evaluator>();
    const auto method = py::reinterpret_steal<py::object>(
        PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(evaluator.ptr()), &call_definition));
    if (!method) throw py::error_already_set();
    evaluator.attr("__call__") = method;
    m.def("make_evaluator", &make_evaluator, py::arg("name"), py::arg("arguments"),
          "The evaluator of a built-in schedule, made of its class' name and its arguments by name.", Computes());
}

}  // namespace adamcore::python

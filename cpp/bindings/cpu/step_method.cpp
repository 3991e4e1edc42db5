#include "cpu/step_method.hpp"

#include "runtime/environment.hpp"
#include "runtime/fast_call.hpp"

namespace adamcore::python {
namespace {

/// Null before __init__ has been called.
HostOptimizer* optimizer_in(PyObject* self) {
    auto* const instance = reinterpret_cast<py::detail::instance*>(self);
    return static_cast<HostOptimizer*>(instance->get_value_and_holder().value_ptr());
}

PyObject* call_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return translate_errors(
        [&]() -> PyObject* {
            require_arguments(count, 4);
            HostOptimizer* const optimizer = optimizer_in(self);
            if (!optimizer) throw py::type_error("HostOptimizer: __init__ has not been called");
            const auto object = [&](int i) { return py::reinterpret_borrow<py::object>(arguments[i]); };
            if (!PyList_Check(arguments[1])) throw py::type_error("param_groups must be a list");
            const int check = PyObject_IsTrue(arguments[3]);
            if (check < 0) throw py::error_already_set();
            const cpu::FloatEnvironment environment;
            return optimizer->step(object(0), object(1), object(2), check != 0).release().ptr();
        },
        static_cast<PyObject*>(nullptr));
}

PyMethodDef step_definition = fast_method(
    "step", call_step,
    "step($self, grads, param_groups, loss_scale, check, /)\n--\n\nOne update of all parameters that have a gradient.");

}  // namespace

void add_step(py::class_<HostOptimizer>& optimizer) {
    const auto method = py::reinterpret_steal<py::object>(
        PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(optimizer.ptr()), &step_definition));
    if (!method) throw py::error_already_set();
    optimizer.attr("step") = method;
}

}  // namespace adamcore::python

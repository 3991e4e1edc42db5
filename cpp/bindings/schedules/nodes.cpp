#include "schedules/nodes.hpp"

#include "adamcore/math.hpp"
#include "runtime/gil.hpp"
#include "runtime/interned.hpp"
#include "runtime/number.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

/// What users' schedules are called with: an int where there is one, as in a step.
py::object clock(double t) {
    constexpr double limit = 0x1p63;
    if (t < limit && static_cast<double>(static_cast<std::int64_t>(t)) == t)
        return py::int_(static_cast<std::int64_t>(t));
    return py::float_(t);
}

py::tuple ledger_of(const py::dict& memory) {
    static PyObject* const key = interned("state").ptr();
    static PyObject* const name = interned("ledger").ptr();
    const auto state = py::reinterpret_borrow<py::object>(PyDict_GetItemWithError(memory.ptr(), key));
    const auto ledger = py::reinterpret_steal<py::object>(state ? PyObject_GetAttr(state.ptr(), name) : nullptr);
    if (ledger && PyTuple_Check(ledger.ptr())) return py::reinterpret_borrow<py::tuple>(ledger);
    PyErr_Clear();
    throw py::type_error("the memory of a ReduceOnPlateau was changed from outside");
}

double number_at(py::handle entry, Py_ssize_t i) {
    PyObject* const number = PyTuple_GetItem(entry.ptr(), i);
    if (!number) throw py::error_already_set();
    const double x = PyLong_Check(number) ? PyLong_AsDouble(number) : PyFloat_AsDouble(number);
    if (x == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return x;
}

}  // namespace

UsersNode::UsersNode(py::object schedule) : Evaluator(type_name(schedule)), schedule_(std::move(schedule)) {}

double UsersNode::operator()(double t) const {
    const py::object value = run_python([&] { return schedule_(clock(t)); });
    const bool is_number = !PyBool_Check(value.ptr()) && PyNumber_Check(value.ptr());
    const double x = is_number ? run_python([&] { return as_double(value); }) : -1.0;
    if (x != -1.0 || (is_number && !PyErr_Occurred())) return x;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error(name() + " must return a number, got " + repr_of(value));
}

int UsersNode::traverse(visitproc visit, void* arg) const {
    Py_VISIT(schedule_.ptr());
    return 0;
}

ReducedNode::ReducedNode(std::string name, Part schedule, double min_value, py::dict memory, Holdings holdings)
    : Evaluator(std::move(name)),
      schedule_(schedule),
      min_value_(min_value),
      memory_(std::move(memory)),
      holdings_(std::move(holdings)) {}

double ReducedNode::operator()(double t) const {
    double value = schedule_(t);
    const double least = math::min(min_value_, value);
    const py::tuple ledger = ledger_of(memory_);  // after the schedule was called, which may run Python code
    for (const py::handle entry : ledger) {
        if (number_at(entry, 0) > t) break;
        value = math::max(value * number_at(entry, 1), least);
    }
    return value;
}

int ReducedNode::traverse(visitproc visit, void* arg) const {
    Py_VISIT(memory_.ptr());
    return holdings_.traverse(visit, arg);
}

}  // namespace adamcore::python

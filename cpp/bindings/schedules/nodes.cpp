#include "schedules/nodes.hpp"

#include "runtime/gil.hpp"
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

}  // namespace

UsersNode::UsersNode(py::object schedule) : Evaluator(type_name(schedule)), schedule_(std::move(schedule)) {}

double UsersNode::operator()(double t) const {
    const py::object value = run_python([&] { return schedule_(clock(t)); });
    const bool is_number = !PyBool_Check(value.ptr()) && PyNumber_Check(value.ptr());
    const double x = is_number ? run_python([&] { return PyFloat_AsDouble(value.ptr()); }) : -1.0;
    if (x != -1.0 || (is_number && !PyErr_Occurred())) return x;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error(name() + " must return a number, got " + repr_of(value));
}

int UsersNode::traverse(visitproc visit, void* arg) const {
    Py_VISIT(schedule_.ptr());
    return 0;
}

ReducedNode::ReducedNode(std::string name, Part schedule, py::dict memory, Holdings holdings)
    : Evaluator(std::move(name)), schedule_(schedule), memory_(std::move(memory)), holdings_(std::move(holdings)) {}

double ReducedNode::operator()(double t) const {
    const auto ledger = memory_["state"].attr("ledger").cast<py::tuple>();
    double factor = 1;
    for (std::size_t i = ledger.size(); i-- > 0;) {
        const auto entry = ledger[i].cast<py::tuple>();
        if (entry[0].cast<double>() > t) continue;
        factor = entry[1].cast<double>();
        break;
    }
    return schedule_(t) * factor;
}

int ReducedNode::traverse(visitproc visit, void* arg) const {
    Py_VISIT(memory_.ptr());
    return holdings_.traverse(visit, arg);
}

}  // namespace adamcore::python

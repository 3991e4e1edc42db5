#include "schedules/arguments.hpp"

#include <algorithm>

#include "adamcore/schedule.hpp"
#include "schedules/nodes.hpp"

namespace adamcore::python {

int Holdings::traverse(visitproc visit, void* arg) const {
    for (const py::object& object : objects) Py_VISIT(object.ptr());
    for (const auto& part : own) {
        if (const int stop = part->traverse(visit, arg)) return stop;
    }
    return 0;
}

py::object Arguments::object(const char* name) const {
    PyObject* const value = PyDict_GetItemString(values_.ptr(), name);
    if (!value) throw py::value_error(name_ + ": there is no argument " + name);
    return py::reinterpret_borrow<py::object>(value);
}

bool Arguments::has(const char* name) const { return !object(name).is_none(); }
double Arguments::number(const char* name) const { return object(name).cast<double>(); }
bool Arguments::flag(const char* name) const { return object(name).cast<bool>(); }

Arguments::List Arguments::keep(std::vector<double> numbers) {
    const std::vector<double>& kept = holdings_.lists.emplace_back(std::move(numbers));
    return {kept.data(), kept.size()};
}

Arguments::List Arguments::list(const char* name) {
    std::vector<double> numbers;
    for (const py::handle number : object(name)) numbers.push_back(number.cast<double>());
    return keep(std::move(numbers));
}

Arguments::List Arguments::column(const char* name, std::size_t i) {
    std::vector<double> numbers;
    for (const py::handle row : object(name)) numbers.push_back(row.cast<py::tuple>()[i].cast<double>());
    return keep(std::move(numbers));
}

Part Arguments::keep(std::unique_ptr<const Evaluator> part) {
    return {holdings_.own.emplace_back(std::move(part)).get()};
}

Part Arguments::part_of(const py::object& schedule) {
    if (PyFloat_Check(schedule.ptr()) || PyLong_Check(schedule.ptr())) {
        const schedules::Constant constant{schedule.cast<double>()};
        return keep(std::make_unique<FormulaNode<schedules::Constant>>(constant, "Constant", Holdings{}));
    }
    const Evaluator* const known = evaluator_of(schedule);
    if (!known) return keep(std::make_unique<UsersNode>(schedule));
    depth_ = std::max(depth_, known->depth() + 1);
    holdings_.objects.push_back(schedule);
    return {known};
}

const Part* Arguments::parts(const char* name) {
    std::vector<Part> parts;
    for (const py::handle schedule : object(name)) {
        parts.push_back(part_of(py::reinterpret_borrow<py::object>(schedule)));
    }
    return holdings_.parts.emplace_back(std::move(parts)).data();
}

}  // namespace adamcore::python

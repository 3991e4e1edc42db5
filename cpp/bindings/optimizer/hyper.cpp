#include "optimizer/hyper.hpp"

#include <algorithm>

#include "adamcore/rule_registry.hpp"
#include "runtime/gil.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_immutable_number(py::handle value) { return PyFloat_CheckExact(value.ptr()) || PyLong_CheckExact(value.ptr()); }

std::string in_group(int group) { return group < 0 ? "" : " (in param_groups[" + std::to_string(group) + "])"; }

/// Whether a callable accepts the argument of a schedule. It returns true if the signature is not known.
bool takes_one_number(const py::object& callable, std::string& why_not) {
    const py::module_ inspect = py::module_::import("inspect");
    py::object signature;
    try {
        signature = inspect.attr("signature")(callable);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
        return true;
    }
    try {
        signature.attr("bind")(0);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
        why_not = py::str(error.value()).cast<std::string>();
        return false;
    }
    return true;
}

/// Whether a value is immutable, so that the same object always has the same numbers.
bool is_immutable(py::handle value) {
    if (!PyTuple_CheckExact(value.ptr())) return is_immutable_number(value);
    for (const py::handle element : py::reinterpret_borrow<py::tuple>(value)) {
        if (!is_immutable_number(element)) return false;
    }
    return true;
}

}  // namespace

std::size_t rule_index(const std::string& name) {
    const auto& rules = all_rules();
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (rules[i].name == name) return i;
    }
    throw py::value_error("there is no rule named '" + name + "'");
}

HyperPlace place_of_field(const std::string& field) {
    const bool is_beta = field.size() == 5 && field.rfind("beta", 0) == 0;
    return is_beta ? HyperPlace{"betas", field[4] - '1'} : HyperPlace{field, -1};
}

HyperReader::HyperReader(std::size_t rule, std::string owner, const std::map<std::string, std::string>& renamed)
    : rule_(&all_rules()[rule]), owner_(std::move(owner)) {
    for (std::size_t i = 0; i < rule_->field_count; ++i) {
        const std::string name = rule_->fields[i].name;
        const HyperPlace place = place_of_field(name);
        const bool is_element = place.index >= 0;
        const std::string label = is_element ? place.key + "[" + std::to_string(place.index) + "]" : name;
        sources_.push_back({py::str(place.key), place.index, i, label, name == "lr", {}});
        betas_ += is_element;
        PyObject* key = sources_.back().key.release().ptr();
        PyUnicode_InternInPlace(&key);
        sources_.back().key = py::reinterpret_steal<py::str>(key);
        const auto other = renamed.find(sources_.back().label);
        if (other != renamed.end()) sources_.back().label = other->second;
    }
}

bool HyperReader::reads(PyObject* key) const {
    return std::any_of(sources_.begin(), sources_.end(),
                       [&](const Source& source) { return PyUnicode_Compare(source.key.ptr(), key) == 0; });
}

py::object HyperReader::rate_of(const Source& source, const py::object& schedule, std::int64_t completed,
                                int group) const {
    const auto refuse = [&](const std::string& why) {
        throw py::type_error(owner_ + ": " + source.label +
                             " must be a number, or a schedule, which takes the number of completed steps and returns "
                             "a number; got " +
                             repr_of(schedule) + why + in_group(group));
    };
    try {
        return run_python([&] { return schedule(completed); });
    } catch (py::error_already_set& error) {
        // Errors raised inside a schedule are passed on.
        std::string why_not;
        if (!error.matches(PyExc_Exception)) throw;
        if (PyType_Check(schedule.ptr())) refuse(", a class that cannot be constructed from one number");
        if (!error.matches(PyExc_TypeError)) throw;
        if (!takes_one_number(schedule, why_not)) refuse(", which cannot be called with one number: " + why_not);
        throw;
    }
}

double HyperReader::checked(const Source& source, py::handle value, int group, py::handle schedule) const {
    const rule::Range range = rule_->fields[source.field].range;
    const auto message = [&] {
        return owner_ + ": " + source.label + " must be " + rule::describe(range) + ", got " + repr_of(value) +
               (schedule ? " from its schedule, " + repr_of(schedule) : "") + in_group(group);
    };
    const double x = PyFloat_AsDouble(value.ptr());
    if (x == -1.0 && PyErr_Occurred()) {
        const bool overflow = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
        if (!overflow && !PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
        PyErr_Clear();
        if (!overflow) throw py::type_error(message());
        throw py::value_error(message());
    }
    if (!rule::contains(range, x)) throw py::value_error(message());
    return x;
}

py::object HyperReader::element(const Source& source, const py::object& value, int group) const {
    if (!PySequence_Check(value.ptr()) || PyUnicode_Check(value.ptr()))
        throw py::type_error(owner_ + ": betas must be a tuple of " + std::to_string(betas_) + " numbers, got " +
                             repr_of(value) + in_group(group));
    if (PySequence_Size(value.ptr()) != betas_)
        throw py::value_error(owner_ + ": betas must have " + std::to_string(betas_) + " elements, got " +
                              repr_of(value) + in_group(group));
    return py::reinterpret_borrow<py::sequence>(value)[static_cast<std::size_t>(source.index)];
}

void HyperReader::read(const py::dict& hyper, std::int64_t completed, int group, HyperValues& values) {
    for (Source& source : sources_) {
        PyObject* found = PyDict_GetItemWithError(hyper.ptr(), source.key.ptr());
        if (!found) {
            if (PyErr_Occurred()) throw py::error_already_set();
            throw py::value_error(owner_ + ": " + source.key.cast<std::string>() + " is missing" + in_group(group));
        }
        if (found == source.latest.ptr()) continue;
        auto value = py::reinterpret_borrow<py::object>(found);
        auto latest = is_immutable(value) ? value : py::object();
        const py::object schedule = source.is_rate && PyCallable_Check(found) ? value : py::object();
        if (schedule) value = rate_of(source, value, completed, group);
        if (source.index >= 0) value = element(source, value, group);
        values[source.field] = checked(source, value, group, schedule);
        source.latest = std::move(latest);
    }
}

}  // namespace adamcore::python

#include "groups/timetable.hpp"

#include <cmath>
#include <utility>

#include "runtime/gil.hpp"
#include "runtime/number.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

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

/// Says which schedule raised an error, where Python has notes (from 3.11 on). The error is the user's, and stays.
void note_schedule(const py::error_already_set& error, const py::object& schedule, std::int64_t completed,
                   const ScheduledNumber& number) {
    try {
        if (py::hasattr(error.value(), "add_note"))
            error.value().attr("add_note")(number.owner + ": raised by the schedule of " + number.label + ", " +
                                           repr_of(schedule) + ", after " + std::to_string(completed) +
                                           " completed steps" + in_group(number.group));
    } catch (py::error_already_set&) {  // no note then
    }
}

py::object call_python(const py::object& schedule, std::int64_t completed, const ScheduledNumber& number) {
    const auto refuse = [&](const std::string& why) {
        throw py::type_error(number.owner + ": " + number.label +
                             " must be a number, or a schedule, which takes the number of completed steps and returns "
                             "a number; got " +
                             repr_of(schedule) + why + in_group(number.group));
    };
    try {
        return run_python([&] { return schedule(completed); });
    } catch (py::error_already_set& error) {
        // Errors raised inside a schedule are passed on.
        std::string why_not;
        if (!error.matches(PyExc_Exception)) throw;
        if (PyType_Check(schedule.ptr())) refuse(", a class that cannot be constructed from one number");
        if (error.matches(PyExc_TypeError) && !takes_one_number(schedule, why_not))
            refuse(", which cannot be called with one number: " + why_not);
        note_schedule(error, schedule, completed, number);
        throw;
    }
}

}  // namespace

std::string in_group(int group) { return group < 0 ? "" : " (in param_groups[" + std::to_string(group) + "])"; }

void refuse_number(py::handle value, const std::string& message) {
    const double x = as_double(value);
    const bool is_no_number = x == -1.0 && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError);
    PyErr_Clear();
    if (is_no_number) throw py::type_error(message);
    throw py::value_error(message);
}

void Timetable::Value::refuse(const std::string& wanted, int group) const {
    const py::object given = returned ? returned : py::float_(number);
    refuse_number(given, wanted + repr_of(given) + " from its schedule, " + repr_of(schedule) + ", after " +
                             std::to_string(completed) + " completed steps" + in_group(group));
}

std::size_t Timetable::add(const py::object& schedule) {
    const auto [found, is_new] = places_.emplace(schedule.ptr(), entries_.size());
    if (is_new) {
        try {
            entries_.push_back({{schedule}, evaluator_of(schedule)});
        } catch (...) {
            places_.erase(schedule.ptr());
            throw;
        }
    }
    return found->second;
}

void Timetable::inherit(Timetable&& other) noexcept {
    completed_ = other.completed_;
    for (Entry& entry : entries_) {
        const auto found = other.places_.find(entry.value.schedule.ptr());
        if (found == other.places_.end()) continue;
        std::swap(entry.value, other.entries_[found->second].value);
        entry.is_called = other.entries_[found->second].is_called;
    }
}

void Timetable::begin(std::int64_t completed) noexcept {
    completed_ = completed;
    for (Entry& entry : entries_) entry.is_called = false;
}

const Timetable::Value& Timetable::call(std::size_t schedule, const ScheduledNumber& number) {
    Entry& entry = entries_[schedule];
    if (!entry.is_called) {
        // A finalizer of what was returned before may run code, so that goes last.
        const Value before = std::exchange(entry.value, preview(schedule, completed_, number));
        entry.is_called = true;
    }
    return entry.value;
}

Timetable::Value Timetable::preview(std::size_t schedule, std::int64_t completed, const ScheduledNumber& number) const {
    const Entry& entry = entries_[schedule];
    Value value{entry.value.schedule, completed};
    if (entry.evaluator) {
        try {
            value.number = (*entry.evaluator)(static_cast<double>(completed));
        } catch (py::error_already_set& error) {
            note_schedule(error, value.schedule, completed, number);
            throw;
        }
        return value;
    }
    value.returned = call_python(value.schedule, completed, number);
    value.number = number_or_nan(value.returned);  // NaN is in no range
    return value;
}

py::dict numbers_at(const std::string& owner, const py::dict& hyper, std::int64_t completed, int group) {
    Timetable timetable;
    timetable.begin(completed);
    const auto number = [&](py::handle given, const std::string& label) {
        if (!PyCallable_Check(given.ptr())) return py::reinterpret_borrow<py::object>(given);
        const auto schedule = py::reinterpret_borrow<py::object>(given);
        const Timetable::Value& value = timetable.call(timetable.add(schedule), {owner, label, group});
        return std::isnan(value.number) ? schedule : py::object(py::float_(value.number));
    };
    py::dict numbers;
    for (const auto& [key, value] : hyper) {
        const std::string label = py::str(key).cast<std::string>();
        if (!PyTuple_Check(value.ptr()) && !PyList_Check(value.ptr())) {
            numbers[key] = number(value, label);
            continue;
        }
        py::list items;
        for (const py::handle item : py::reinterpret_borrow<py::sequence>(value))
            items.append(number(item, label + "[" + std::to_string(items.size()) + "]"));
        numbers[key] = py::tuple(items);
    }
    return numbers;
}

int Timetable::traverse(visitproc visit, void* arg) const {
    for (const Entry& entry : entries_) {
        Py_VISIT(entry.value.schedule.ptr());
        Py_VISIT(entry.value.returned.ptr());
    }
    return 0;
}

}  // namespace adamcore::python

#include "groups/hyper.hpp"

#include <algorithm>

#include "adamcore/rule_registry.hpp"
#include "runtime/gil.hpp"
#include "runtime/number.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_immutable_number(py::handle value) { return PyFloat_CheckExact(value.ptr()) || PyLong_CheckExact(value.ptr()); }

/// Whether the same object is always read in the same way: as the same number, or as the same schedule.
bool is_read_once(py::handle value) {
    if (!PyTuple_CheckExact(value.ptr())) return is_immutable_number(value) || PyCallable_Check(value.ptr());
    for (const py::handle element : py::reinterpret_borrow<py::tuple>(value)) {
        if (!is_immutable_number(element) && !PyCallable_Check(element.ptr())) return false;
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

std::string label_of_field(const std::string& field) {
    const HyperPlace place = place_of_field(field);
    return place.index < 0 ? place.key : place.key + "[" + std::to_string(place.index) + "]";
}

HyperReader::HyperReader(std::size_t rule, std::string owner, const std::map<std::string, std::string>& renamed)
    : rule_(&all_rules()[rule]), owner_(std::move(owner)) {
    for (std::size_t i = 0; i < rule_->field_count; ++i) {
        const std::string name = rule_->fields[i].name;
        const HyperPlace place = place_of_field(name);
        sources_.push_back({py::str(place.key), place.index, label_of_field(name), {}, {}});
        betas_ += place.index >= 0;
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

std::string HyperReader::wanted(std::size_t field) const {
    return owner_ + ": " + sources_[field].label + " must be " + rule::describe(range_of(field)) + ", got ";
}

double HyperReader::checked(std::size_t field, py::handle value, int group) const {
    const double x = number_or_nan(value);
    if (!rule::contains(range_of(field), x)) refuse_number(value, wanted(field) + repr_of(value) + in_group(group));
    return x;
}

void HyperReader::refuse(std::size_t field, int group, const Timetable::Value& value) const {
    value.refuse(wanted(field), group);
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

bool HyperReader::read(const py::dict& hyper, int group, HyperValues& values) {
    bool has_other_schedules = false;
    for (std::size_t field = 0; field < sources_.size(); ++field) {
        Source& source = sources_[field];
        PyObject* found = PyDict_GetItemWithError(hyper.ptr(), source.key.ptr());
        if (!found) {
            if (PyErr_Occurred()) throw py::error_already_set();
            throw py::value_error(owner_ + ": " + source.key.cast<std::string>() + " is missing" + in_group(group));
        }
        if (found == source.latest.ptr()) continue;
        auto value = py::reinterpret_borrow<py::object>(found);
        auto latest = is_read_once(value) ? value : py::object();
        if (source.index >= 0) value = element(source, value, group);
        const bool is_schedule = PyCallable_Check(value.ptr()) != 0;
        if (!is_schedule) {
            values[field] = checked(field, value, group);
            value = py::object();
        }
        has_other_schedules |= !value.is(source.schedule);
        std::swap(source.schedule, value);
        std::swap(source.latest, latest);
    }
    return has_other_schedules;
}

void HyperReader::read_at(const py::dict& hyper, int group, Timetable& timetable, HyperValues& values) {
    read(hyper, group, values);
    for (std::size_t field = 0; field < sources_.size(); ++field) {
        const py::object& schedule = schedule_of(field);
        if (!schedule) continue;
        const Timetable::Value& value = timetable.call(timetable.add(schedule), {owner_, label_of(field), group});
        if (!rule::contains(range_of(field), value.number)) refuse(field, group, value);
        values[field] = value.number;
    }
}

void HyperReader::read_numbers(const py::dict& hyper, HyperValues& values) {
    read(hyper, -1, values);
    for (std::size_t field = 0; field < sources_.size(); ++field) {
        if (schedule_of(field))
            throw py::type_error(owner_ + ": " + sources_[field].label +
                                 " must be a number here, got a schedule; call it: " +
                                 sources_[field].key.cast<std::string>() + "=schedule(t - 1)");
    }
}

}  // namespace adamcore::python

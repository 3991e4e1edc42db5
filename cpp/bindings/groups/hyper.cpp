#include "groups/hyper.hpp"

#include <algorithm>
#include <string_view>

#include "adamcore/rule_registry.hpp"
#include "runtime/gil.hpp"
#include "runtime/number.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

bool is_immutable(py::handle value) {
    return PyFloat_CheckExact(value.ptr()) || PyLong_CheckExact(value.ptr()) || PyBool_Check(value.ptr()) ||
           value.is_none() || PyUnicode_CheckExact(value.ptr());
}

/// Whether the same object is always read in the same way: as the same value, or as the same schedule.
bool is_read_once(py::handle value) {
    if (!PyTuple_CheckExact(value.ptr())) return is_immutable(value) || PyCallable_Check(value.ptr());
    for (const py::handle element : py::reinterpret_borrow<py::tuple>(value)) {
        if (!is_immutable(element) && !PyCallable_Check(element.ptr())) return false;
    }
    return true;
}

bool is_same_text(std::string_view a, std::string_view b) { return a == b; }

/// Finds the index of a word, a str.
bool find_word(const FieldInfo& field, PyObject* value, double& index) {
    for (std::size_t i = 0; field.words[i]; ++i) {
        if (PyUnicode_CompareWithASCIIString(value, field.words[i]) != 0) continue;
        index = static_cast<double>(i);
        return true;
    }
    return false;
}

/// "'a', 'b' or 'c'"
std::string words_of(const FieldInfo& field) {
    std::string text;
    for (std::size_t i = 0; field.words[i]; ++i) {
        if (i > 0) text += field.words[i + 1] ? ", " : " or ";
        text += "'" + std::string(field.words[i]) + "'";
    }
    return text;
}

}  // namespace

Py_ssize_t tuple_size(const RuleInfo& rule, const FieldInfo& field) {
    if (!field.tuple) return 0;
    return std::count_if(rule.fields.begin(), rule.fields.begin() + static_cast<std::ptrdiff_t>(rule.field_count),
                         [&](const FieldInfo& other) { return other.tuple && is_same_text(other.tuple, field.tuple); });
}

std::string label_of(const FieldInfo& field) {
    const std::string key = key_of(field);
    return field.tuple ? key + "[" + std::to_string(field.place) + "]" : key;
}

py::object value_of(const FieldInfo& field, double x) {
    if (rule::is_none(x)) return py::none();
    if (field.kind == rule::Kind::flag) return py::bool_(x != 0);
    if (field.kind == rule::Kind::word) return py::str(field.words[static_cast<std::size_t>(x)]);
    return py::float_(x);
}

bool read_other_plainly(const FieldInfo& field, PyObject* value, double& x) {
    if (value == Py_None && field.may_be_none) {
        x = rule::none;
        return true;
    }
    if (field.kind == rule::Kind::flag) {
        x = value == Py_True;
        return PyBool_Check(value);
    }
    if (field.kind == rule::Kind::word) return PyUnicode_Check(value) && find_word(field, value, x);
    if (!PyLong_CheckExact(value)) return false;
    x = PyLong_AsDouble(value);
    if (x != -1.0 || !PyErr_Occurred()) return rule::contains(field.range, x);
    PyErr_Clear();
    return false;
}

HyperReader::HyperReader(std::size_t rule, std::string owner, const std::map<std::string, std::string>& renamed)
    : rule_(&all_rules()[rule]), owner_(std::move(owner)) {
    for (std::size_t i = 0; i < rule_->field_count; ++i) {
        const FieldInfo& field = rule_->fields[i];
        PyObject* key = py::str(key_of(field)).release().ptr();
        PyUnicode_InternInPlace(&key);
        sources_.push_back(
            {py::reinterpret_steal<py::str>(key), tuple_size(*rule_, field), python::label_of(field), {}, {}});
        const auto other = renamed.find(sources_.back().label);
        if (other != renamed.end()) sources_.back().label = other->second;
    }
}

bool HyperReader::reads(PyObject* key) const {
    return std::any_of(sources_.begin(), sources_.end(),
                       [&](const Source& source) { return PyUnicode_Compare(source.key.ptr(), key) == 0; });
}

std::string HyperReader::must_be(std::size_t field, const std::string& wanted) const {
    return owner_ + ": " + sources_[field].label + " must be " + wanted + ", got ";
}

double HyperReader::checked(std::size_t field, py::handle value, int group) const {
    const FieldInfo& info = rule_->fields[field];
    if (info.kind == rule::Kind::flag) return checked_flag(field, value, group);
    if (info.kind == rule::Kind::word) return checked_word(field, value, group);
    if (value.is_none() && info.may_be_none) return rule::none;
    const double x = number_or_nan(value);
    if (!rule::contains(info.range, x)) {
        const std::string wanted = std::string(rule::describe(info.range)) + (info.may_be_none ? " or None" : "");
        refuse_number(value, must_be(field, wanted) + repr_of(value) + in_group(group));
    }
    return x;
}

double HyperReader::checked_flag(std::size_t field, py::handle value, int group) const {
    const double x = PyFloat_Check(value.ptr()) ? rule::none : number_or_nan(value);
    if (x == 0 || x == 1) return x;
    throw py::type_error(must_be(field, "True or False") + repr_of(value) + in_group(group));
}

double HyperReader::checked_word(std::size_t field, py::handle value, int group) const {
    const FieldInfo& info = rule_->fields[field];
    double x = 0;
    const bool is_text = PyUnicode_Check(value.ptr());
    if (is_text && find_word(info, value.ptr(), x)) return x;
    const std::string message = must_be(field, words_of(info)) + repr_of(value) + in_group(group);
    if (!is_text) throw py::type_error(message);
    throw py::value_error(message);
}

void HyperReader::refuse(std::size_t field, int group, const Timetable::Value& value) const {
    value.refuse(must_be(field, rule::describe(range_of(field))), group);
}

py::object HyperReader::element(std::size_t field, const py::object& value, int group) const {
    const FieldInfo& info = rule_->fields[field];
    const Py_ssize_t size = sources_[field].size;
    if (!PySequence_Check(value.ptr()) || PyUnicode_Check(value.ptr())) {
        const bool may_have_none = std::any_of(rule_->fields.begin(), rule_->fields.end(), [&](const FieldInfo& other) {
            return other.tuple && is_same_text(other.tuple, info.tuple) && other.may_be_none;
        });
        throw py::type_error(owner_ + ": " + info.tuple + " must be a tuple of " + std::to_string(size) +
                             (may_have_none ? " elements" : " numbers") + ", got " + repr_of(value) + in_group(group));
    }
    if (PySequence_Size(value.ptr()) != size)
        throw py::value_error(owner_ + ": " + info.tuple + " must have " + std::to_string(size) + " elements, got " +
                              repr_of(value) + in_group(group));
    return py::reinterpret_borrow<py::sequence>(value)[static_cast<std::size_t>(info.place)];
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
        if (source.size > 0) value = element(field, value, group);
        const bool is_schedule = rule_->fields[field].kind == rule::Kind::number && PyCallable_Check(value.ptr()) != 0;
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

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"
#include "groups/timetable.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// The key under which users put the value of a field, which may be a tuple that has it.
inline const char* key_of(const FieldInfo& field) { return field.tuple ? field.tuple : field.name; }

/// The number of elements of the tuple that has a field of a rule, or 0 if there is none.
Py_ssize_t tuple_size(const RuleInfo& rule, const FieldInfo& field);

/// What messages call a field, such as "betas[0]".
std::string label_of(const FieldInfo& field);

/// What users write for the value of a field.
py::object value_of(const FieldInfo& field, double x);

/// Reads a value that is no float without running foreign code.
bool read_other_plainly(const FieldInfo& field, PyObject* value, double& x);

/// Reads a value that can be read without running foreign code. Returns false for others, and for invalid ones.
inline bool read_plainly(const FieldInfo& field, PyObject* value, double& x) {
    if (field.kind != rule::Kind::number || !PyFloat_Check(value)) return read_other_plainly(field, value, x);
    x = PyFloat_AS_DOUBLE(value);  // NumPy's float64 is a float
    return rule::contains(field.range, x);
}

/// Reads a rule's hyper-parameters from a dict that users can modify, and checks them. A callable in the place of a number
/// is a schedule.
///
/// A value that is the same object as at the last reading, and immutable, is not read again.
class HyperReader {
public:
    /// `renamed` maps names to those that messages use ("lr" -> "alpha").
    HyperReader(std::size_t rule, std::string owner, const std::map<std::string, std::string>& renamed = {});

    /// Fills in the numbers. It raises TypeError or ValueError that names the hyper-parameter and, unless `group` is -1,
    /// the index of its group in param_groups. Runs no schedule. Returns whether other schedules stand for numbers than
    /// before.
    bool read(const py::dict& hyper, int group, HyperValues& values);

    /// Fills in the numbers, and what schedules give.
    void read_at(const py::dict& hyper, int group, Timetable& timetable, HyperValues& values);

    /// The same, but a schedule is an error.
    void read_numbers(const py::dict& hyper, HyperValues& values);

    /// The schedule that stands for a field, after read(). Null if there is a number.
    const py::object& schedule_of(std::size_t field) const { return sources_[field].schedule; }
    std::size_t field_count() const { return sources_.size(); }
    const rule::Range& range_of(std::size_t field) const { return rule_->fields[field].range; }
    const std::string& label_of(std::size_t field) const { return sources_[field].label; }

    /// Raises an error, because a schedule gives this value, which is not in the field's range.
    [[noreturn]] void refuse(std::size_t field, int group, const Timetable::Value& value) const;

    /// Whether it reads the value of this key, a str.
    bool reads(PyObject* key) const;

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* arg) const {
        for (const Source& source : sources_) {
            Py_VISIT(source.latest.ptr());
            Py_VISIT(source.schedule.ptr());
        }
        return 0;
    }

private:
    struct Source {
        py::str key;
        Py_ssize_t size;  ///< of the tuple that the value is, or 0
        std::string label;
        py::object latest;    ///< the latest value if the same object is always read in the same way, else null
        py::object schedule;  ///< what stands for the number, or null
    };

    double checked(std::size_t field, py::handle value, int group) const;
    double checked_flag(std::size_t field, py::handle value, int group) const;
    double checked_word(std::size_t field, py::handle value, int group) const;
    py::object element(std::size_t field, const py::object& value, int group) const;
    std::string must_be(std::size_t field, const std::string& wanted) const;

    const RuleInfo* rule_;
    std::string owner_;
    std::vector<Source> sources_;  ///< by field
};

}  // namespace adamcore::python

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

/// The index of a rule in all_rules(), by name.
std::size_t rule_index(const std::string& name);

/// Where users put the value of a field: under this key and, unless `index` is -1, at this place of a tuple there. The
/// fields beta1, beta2, ... are the elements of "betas"; all others have keys of their own.
struct HyperPlace {
    std::string key;
    Py_ssize_t index = -1;
};
HyperPlace place_of_field(const std::string& field);

/// What messages call a field, such as "betas[0]".
std::string label_of_field(const std::string& field);

/// Reads a rule's hyper-parameters from a dict that users can modify, and checks their ranges. A callable in the place of
/// a number is a schedule.
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
        Py_ssize_t index;  ///< into the value when it is a tuple, else -1
        std::string label;
        py::object latest;    ///< the latest value if the same object is always read in the same way, else null
        py::object schedule;  ///< what stands for the number, or null
    };

    double checked(std::size_t field, py::handle value, int group) const;
    py::object element(const Source& source, const py::object& value, int group) const;
    std::string wanted(std::size_t field) const;

    const RuleInfo* rule_;
    std::string owner_;
    std::vector<Source> sources_;  ///< by field
    Py_ssize_t betas_ = 0;
};

}  // namespace adamcore::python

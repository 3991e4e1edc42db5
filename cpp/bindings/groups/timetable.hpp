#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <pybind11/pybind11.h>

#include "schedules/evaluator.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What messages say of a number that a schedule gives.
struct ScheduledNumber {
    const std::string& owner;
    const std::string& label;
    int group;  ///< its index in param_groups, or -1
};

/// " (in param_groups[1])", or nothing for -1.
std::string in_group(int group);

/// Raises TypeError if the value is no number, else ValueError.
[[noreturn]] void refuse_number(py::handle value, const std::string& message);

/// Schedules, and what they give after some number of completed steps. Each is called once, however many numbers follow
/// it: it is known by its identity.
///
/// Schedules are callables: adamcore's own, which an Evaluator computes, or any other, which are called.
class Timetable {
public:
    struct Value {
        py::object schedule;
        std::int64_t completed = 0;
        double number = 0;  ///< NaN if the schedule returned no number
        /// What the schedule returned. Null if an Evaluator computed the number.
        py::object returned{};

        /// Raises TypeError if the schedule returned no number, else ValueError. `wanted` is the beginning of the
        /// message.
        [[noreturn]] void refuse(const std::string& wanted, int group) const;
    };

    bool empty() const { return entries_.empty(); }
    std::size_t size() const { return entries_.size(); }
    /// The index of a schedule, which is added if it is new.
    std::size_t add(const py::object& schedule);
    /// Takes over what has been called from another timetable, for schedules that are in both.
    void inherit(Timetable&& other) noexcept;

    /// Values are from now on those after `completed` steps.
    void begin(std::int64_t completed) noexcept;
    /// Calls a schedule, unless it has been called since begin(). Raises its errors, or TypeError if it is no schedule.
    const Value& call(std::size_t schedule, const ScheduledNumber& number);
    /// The value of a schedule that has been called.
    double operator[](std::size_t schedule) const { return entries_[schedule].value.number; }
    const Value& value(std::size_t schedule) const { return entries_[schedule].value; }
    /// Calls a schedule for another number of completed steps.
    Value preview(std::size_t schedule, std::int64_t completed, const ScheduledNumber& number) const;

    int traverse(visitproc visit, void* arg) const;

private:
    struct Entry {
        Value value;
        const Evaluator* evaluator;  ///< null if Python must call the schedule
        bool is_called = false;
    };

    std::vector<Entry> entries_;
    std::unordered_map<PyObject*, std::size_t> places_;
    std::int64_t completed_ = 0;
};

/// Hyper-parameters, a dict, with what their schedules give after `completed` steps. Each is called once. Those that give
/// no number stay, and ranges are not checked.
py::dict numbers_at(const std::string& owner, const py::dict& hyper, std::int64_t completed, int group);

}  // namespace adamcore::python

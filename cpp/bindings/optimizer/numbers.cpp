// The numbers that a rule keeps for the whole optimizer, in checkpoints.

#include <cmath>
#include <string>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/entries.hpp"
#include "groups/timetable.hpp"
#include "runtime/number.hpp"

namespace adamcore::python {
namespace {

constexpr const char* place = "state_dict['numbers']";

double checked_number(const py::object& value, const char* name) {
    const double number = number_or_nan(value);
    if (!std::isfinite(number))
        refuse_number(value, std::string(place) + "['" + name + "']: expected a finite number, got " + repr_of(value));
    return number;
}

}  // namespace

py::dict saved_numbers(const std::vector<const char*>& names, const std::vector<double>& numbers) {
    py::dict saved;
    for (std::size_t k = 0; k < names.size(); ++k) saved[names[k]] = numbers[k];
    return saved;
}

std::vector<double> loaded_numbers(const py::object& given, const std::vector<const char*>& names, bool checked) {
    const py::dict found = as_dict(given, place);
    std::vector<py::object> keys;
    for (const char* name : names) keys.push_back(py::str(name));
    require_names(found, keys, place);
    std::vector<double> numbers;
    for (std::size_t k = 0; k < names.size(); ++k) {
        const py::object value = found[keys[k]];
        numbers.push_back(checked ? checked_number(value, names[k]) : value.cast<double>());
    }
    return numbers;
}

}  // namespace adamcore::python

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"

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

/// Reads a rule's hyper-parameters from a dict that users can modify, and checks their ranges.
///
/// A value that is the same object as at the last reading, and immutable, is not read again.
class HyperReader {
public:
    /// `renamed` maps names to those that messages use ("lr" -> "alpha").
    HyperReader(std::size_t rule, std::string owner, const std::map<std::string, std::string>& renamed = {});

    /// Fills `values`. "lr" may be a callable, which is called with `completed` steps. Raises TypeError or ValueError
    /// that names the hyper-parameter and, unless `group` is -1, the index of its group in param_groups.
    void read(const py::dict& hyper, std::int64_t completed, int group, HyperValues& values);

    /// Whether it reads the value of this key, a str.
    bool reads(PyObject* key) const;

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* arg) const {
        for (const Source& source : sources_) Py_VISIT(source.latest.ptr());
        return 0;
    }

private:
    struct Source {
        py::str key;
        Py_ssize_t index;  ///< into the value when it is a tuple, else -1
        std::size_t field;
        std::string label;
        bool is_rate;       ///< may be a schedule
        py::object latest;  ///< the latest value if it is immutable, else null
    };

    py::object rate_of(const Source& source, const py::object& schedule, std::int64_t completed, int group) const;
    double checked(const Source& source, py::handle value, int group, py::handle schedule) const;
    py::object element(const Source& source, const py::object& value, int group) const;

    const RuleInfo* rule_;
    std::string owner_;
    std::vector<Source> sources_;
    Py_ssize_t betas_ = 0;
};

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// How users know an optimizer's parameters and gradients, and the structures in which they pass gradients.
class Names {
public:
    /// Takes gradients, one for each parameter.
    struct Taker {
        virtual ~Taker() = default;
        /// Takes all of `count` objects or says false if one of them must be looked at closely. Runs no one's code.
        virtual bool take_plainly(PyObject* const* grads) = 0;
        virtual bool take_plainly(std::size_t tensor, PyObject* grad) = 0;
        /// Takes one or raises. Returns what keeps the memory.
        virtual py::object take(std::size_t tensor, const py::object& grad, bool by_name) = 0;
        /// Whether all must be looked at closely.
        virtual bool is_wary() const { return false; }
    };

    std::size_t size() const { return entries_.size(); }
    const std::string& label(std::size_t tensor) const { return entries_[tensor].label; }
    std::string grad_label(std::size_t tensor, bool by_name) const;
    std::string name(std::size_t tensor) const { return entries_[tensor].name.cast<std::string>(); }

    /// Raises ValueError if one of these names of new parameters is taken.
    void require_new(const std::vector<std::string>& names, const std::vector<std::string>& labels) const;
    /// Adds parameters; `labels` are what users call them ("params['w']"), `keys` the ends of their gradients' labels
    /// ("['w']", "[3]", or "" for a single array). Those that are there keep their places.
    void add(const std::vector<std::string>& names, const std::vector<std::string>& labels,
             const std::vector<std::string>& keys);

    /// Hands all gradients out. Raises TypeError or ValueError for what is not in the structure of the parameters.
    /// Returns what holds the arrays while they are in use.
    py::object take(const py::object& grads, bool in_groups, Taker& taker) const;

private:
    struct Entry {
        std::string label, key;
        py::str name;
    };

    py::object take_sequence(const py::object& grads, Taker& taker) const;
    py::dict take_dict(const py::dict& grads, Taker& taker) const;
    bool take_plain_dict(const py::dict& grads, Taker& taker) const;
    py::handle find(const py::dict& grads, std::size_t tensor) const;

    std::vector<Entry> entries_;
    py::dict places_;
};

/// Whether it is one array and no structure of them.
bool is_one_array(py::handle object);

}  // namespace adamcore::python

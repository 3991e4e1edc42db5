#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// The users' names of an optimizer's parameters and gradients, and the structures in which they pass gradients.
class Names {
public:
    /// Receives gradients, one for each parameter.
    struct Taker {
        virtual ~Taker() = default;
        /// Takes an object for each parameter, or returns false if one of them needs a closer look. Runs no foreign
        /// code.
        virtual bool take_plainly(PyObject* const* grads) = 0;
        virtual bool take_plainly(std::size_t tensor, PyObject* grad) = 0;
        /// Converts an object to one that can be examined without running foreign code, or raises an error. Returns the
        /// object that keeps the memory alive. It is called for all gradients before any is taken, because the code of
        /// one array may change another.
        virtual py::object prepare(std::size_t tensor, const py::object& grad, bool by_name) = 0;
        /// Takes the result of prepare(), or raises an error.
        virtual void take(std::size_t tensor, const py::object& grad, bool by_name) = 0;
        /// Whether all gradients need a closer look.
        virtual bool is_wary() const { return false; }
    };

    std::size_t size() const { return entries_.size(); }
    const std::string& label(std::size_t tensor) const { return entries_[tensor].label; }
    std::string grad_label(std::size_t tensor, bool by_name) const;
    std::string name(std::size_t tensor) const { return entries_[tensor].name.cast<std::string>(); }
    const py::str& key(std::size_t tensor) const { return entries_[tensor].name; }
    /// Maps names to indices. Must not be modified.
    const py::dict& places() const { return places_; }

    /// Raises ValueError if one of these new names is taken.
    void require_new(const std::vector<py::str>& names, const std::vector<std::string>& labels) const;
    /// Adds parameters. `labels` are the users' names of the arrays ("params['w']"), and `keys` the ends of their
    /// gradients' labels ("['w']", "[3]", or "" for a single array). Existing parameters keep their indices. Appends
    /// their `group` to `param_groups`. Does all of this or, if it raises an error, nothing.
    void add(const std::vector<py::str>& names, const std::vector<std::string>& labels,
             const std::vector<std::string>& keys, const py::list& param_groups, const py::dict& group);

    /// Removes all parameters.
    void clear() noexcept {
        entries_.clear();
        places_.clear();
    }

    /// Passes all gradients to `taker`. Raises TypeError or ValueError if they do not have the structure of the
    /// parameters. Returns an object that keeps the arrays alive: the user's own list or dict if no other code ran
    /// since it was read, in which case the caller must not run any either; with `hold`, always a copy.
    py::object take(const py::object& grads, bool in_groups, Taker& taker, bool hold) const;

private:
    struct Entry {
        std::string label, key;
        py::str name;
    };

    py::object take_one(const py::object& grad, Taker& taker) const;
    py::object take_sequence(const py::object& grads, Taker& taker, bool hold) const;
    py::dict take_dict(const py::dict& grads, Taker& taker, bool hold) const;
    bool take_plain_dict(const py::dict& grads, Taker& taker) const;
    py::handle find(const py::dict& grads, std::size_t tensor) const;
    [[noreturn]] void refuse_missing(std::size_t tensor) const;
    void remove_last(std::size_t count) noexcept;

    std::vector<Entry> entries_;
    py::dict places_;
};

/// The names as exact str objects, which can be compared without running foreign code.
std::vector<py::str> exact_names(const py::list& names);

/// Whether the object is one array and not a structure of arrays.
bool is_one_array(py::handle object);

}  // namespace adamcore::python

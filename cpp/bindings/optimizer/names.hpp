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
        /// Takes an object for each parameter, or says false if one of them must be looked at closely. Runs no one's code.
        virtual bool take_plainly(PyObject* const* grads) = 0;
        virtual bool take_plainly(std::size_t tensor, PyObject* grad) = 0;
        /// Makes an object one that can be looked at without running anyone's code, or raises. Returns what keeps the
        /// memory. It is called for all gradients before any is taken: one array's code may change another.
        virtual py::object prepare(std::size_t tensor, const py::object& grad, bool by_name) = 0;
        /// Takes what prepare() has returned, or raises.
        virtual void take(std::size_t tensor, const py::object& grad, bool by_name) = 0;
        /// Whether all must be looked at closely.
        virtual bool is_wary() const { return false; }
    };

    std::size_t size() const { return entries_.size(); }
    const std::string& label(std::size_t tensor) const { return entries_[tensor].label; }
    std::string grad_label(std::size_t tensor, bool by_name) const;
    std::string name(std::size_t tensor) const { return entries_[tensor].name.cast<std::string>(); }
    const py::str& key(std::size_t tensor) const { return entries_[tensor].name; }
    /// From names to places. Not to be written to.
    const py::dict& places() const { return places_; }

    /// Raises ValueError if one of these names of new parameters is taken.
    void require_new(const std::vector<py::str>& names, const std::vector<std::string>& labels) const;
    /// Adds parameters; `labels` are what users call them ("params['w']"), `keys` the ends of their gradients' labels
    /// ("['w']", "[3]", or "" for a single array). Those that are there keep their places. Their `group` is appended to
    /// `param_groups`. All of that or, if it raises, nothing.
    void add(const std::vector<py::str>& names, const std::vector<std::string>& labels,
             const std::vector<std::string>& keys, const py::list& param_groups, const py::dict& group);

    /// Forgets them all.
    void clear() noexcept {
        entries_.clear();
        places_.clear();
    }

    /// Hands all gradients out. Raises TypeError or ValueError for what is not in the structure of the parameters.
    /// Returns what holds the arrays while they are in use: the user's own list or dict, if nothing ran between the look
    /// at it and the return, and the caller lets nothing run before it is done; with `hold` a copy in any case.
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

/// Names of no class derived from str: to compare them runs no one's code.
std::vector<py::str> exact_names(const py::list& names);

/// Whether it is one array and no structure of them.
bool is_one_array(py::handle object);

}  // namespace adamcore::python

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "structures/node.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// The users' names of an optimizer's parameters and gradients, and the structures in which they pass gradients.
class Names {
public:
    /// How a user passed gradients, which decides what messages call them.
    enum class By : std::uint8_t {
        structure,  ///< as the parameters: "grads['enc']['w']"
        name,       ///< "grads['enc.w']"
        order,      ///< in a list for all groups: "grads[3]"
        sum         ///< not in this call: they were accumulated
    };

    /// Receives gradients, one for each parameter.
    struct Taker {
        virtual ~Taker() = default;
        /// Takes an object for each parameter, or returns false if one of them needs a closer look. Runs no foreign
        /// code.
        virtual bool take_plainly(PyObject* const* grads) = 0;
        /// Replaces an object that cannot be examined without running foreign code by one that can be, and that keeps
        /// the memory alive; or raises an error. It is called for all gradients before any is taken, because the code
        /// of one array may change another.
        virtual void prepare(std::size_t tensor, py::object& grad, By by) = 0;
        /// Takes the result of prepare(), or raises an error.
        virtual void take(std::size_t tensor, const py::object& grad, By by) = 0;
        /// Prefetches what the other functions read of an object that they will get a few objects later.
        virtual void prefetch([[maybe_unused]] std::size_t tensor, [[maybe_unused]] PyObject* grad) const noexcept {}
        /// Whether gradients must be prepared before any is taken.
        virtual bool is_wary() const { return false; }
    };

    /// Gradients that have been taken, and an object that keeps the arrays alive.
    struct Taken {
        py::object held;
        By by;
    };

    std::size_t size() const { return entries_.size(); }
    const std::string& label(std::size_t tensor) const { return entries_[tensor].label; }
    std::string grad_label(std::size_t tensor, By by) const;
    std::string name(std::size_t tensor) const { return entries_[tensor].name.cast<std::string>(); }
    const std::string& grad_key(std::size_t tensor) const { return entries_[tensor].key; }
    /// The structure of gradients, if there is one group.
    const std::shared_ptr<const Tree>& tree() const { return tree_; }
    const py::str& key(std::size_t tensor) const { return entries_[tensor].name; }
    /// Maps names to indices. Must not be modified.
    const py::dict& places() const { return places_; }

    /// Raises ValueError if one of these new names is taken.
    void require_new(const std::vector<py::str>& names, const std::vector<std::string>& labels) const;
    /// Adds parameters. `labels` are the users' names of the arrays ("params['w']"), and `keys` the ends of their
    /// gradients' labels ("['w']", "[3]", or "" for a single array). `tree` is their structure. Existing parameters keep
    /// their indices. Appends their `group` to `param_groups`. Does all of this or, if it raises an error, nothing.
    void add(const std::vector<py::str>& names, const std::vector<std::string>& labels,
             const std::vector<std::string>& keys, const std::shared_ptr<const Tree>& tree,
             const py::list& param_groups, const py::dict& group);

    /// Removes all parameters.
    void clear() noexcept {
        entries_.clear();
        places_.clear();
        tree_.reset();
    }

    /// Passes all gradients to `taker`. Raises TypeError or ValueError if they do not have the structure of the
    /// parameters. What it returns holds the user's own list or dict if no other code ran since it was read, in which
    /// case the caller must not run any either; with `hold`, always the arrays.
    Taken take(const py::object& grads, Taker& taker, bool hold) const;

    [[noreturn]] void refuse_missing(std::size_t tensor) const;

private:
    struct Entry {
        std::string label, key;
        py::str name;
    };

    /// Gradients as they were found: borrowed, and null if they need a closer look.
    struct Found {
        PyObject* const* arrays;
        By by;
    };

    Taken take_one(const py::object& grad, Taker& taker) const;
    Taken take_closely(const py::object& container, Found found, Taker& taker) const;
    Found find_plainly(PyObject* container) const;
    Found find_in_sequence(PyObject* sequence) const;
    void require_sequence(PyObject* sequence, py::handle given) const;
    void remove_last(std::size_t count) noexcept;

    std::vector<Entry> entries_;
    py::dict places_;
    Node by_name_{Node::Kind::mapping, 0, 0};  ///< all names, as a mapping without depth
    std::shared_ptr<const Tree> tree_;         ///< of the only group; null if there are more
    mutable std::vector<PyObject*> found_;     ///< room for one object for each parameter
};

/// The names as exact str objects, which can be compared without running foreign code.
std::vector<py::str> exact_names(const py::list& names);

}  // namespace adamcore::python

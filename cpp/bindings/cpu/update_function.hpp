#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/cpu/engine.hpp"
#include "adamcore/rule_info.hpp"
#include "calls/plain_arrays.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// One update of plain NumPy arrays in a single call, for the functions that update arrays without an optimizer. Every
/// other call, and every error, is left to a Python function that takes the same arguments.
///
/// The arguments are: the parameters, the gradients, a tuple of state arrays, the number of the update, the
/// hyper-parameters, and the state arrays that can be passed by name, or None.
class UpdateFunction {
public:
    /// The names of arguments. `flags` and `variant` are among those in `hyper`.
    struct Names {
        std::vector<std::string> hyper, flags, variant, state;
    };

    /// `rule_for(hyper)` returns the name of the rule for a dict of hyper-parameters. It depends on the variant
    /// arguments alone.
    UpdateFunction(const Names& names, py::function rule_for, py::function otherwise);

    std::size_t argument_count() const { return argument_count_; }
    py::handle otherwise() const { return otherwise_; }

    /// Does the update, or returns false if this is not the plain case; then nothing has changed.
    bool update(PyObject* const* arguments);

private:
    struct Variant;

    const Variant* variant_of(PyObject* const* arguments);
    Variant make_variant(const std::string& rule, PyObject* const* arguments) const;
    bool read_hyper(const Variant& variant, PyObject* const* arguments, Group& group) const;
    bool find_arrays(const Variant& variant, PyObject* const* arguments, PlainArrays& arrays) const;
    void run(const Group& group, const Tensor* tensors, std::size_t count);

    /// A rule, and which arguments it uses.
    struct Variant {
        struct Field {
            std::size_t argument = 0;
            Py_ssize_t tuple_size = 0;  ///< of the tuple that the argument is, or 0
        };
        std::size_t rule = 0;
        std::vector<py::object> values;  ///< of the variant arguments
        std::array<Field, max_fields> fields{};
        std::array<std::size_t, max_slots> named{};  ///< the argument by which each slot can be passed
    };

    Names names_;
    py::function rule_for_, otherwise_;
    std::size_t argument_count_;
    std::vector<std::size_t> flags_, variant_arguments_;
    std::size_t maximize_;
    std::array<Variant, 4> variants_;  ///< those used last
    std::size_t variant_count_ = 0;
    cpu::LatestConstants latest_;
};

/// Defines `update_function`, which makes Python functions of these objects.
void define_update_function(py::module_& m);

}  // namespace adamcore::python

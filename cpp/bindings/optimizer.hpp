#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/cpu/engine.hpp"
#include "arrays.hpp"
#include "hyper.hpp"
#include "regions.hpp"
#include "slab.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What an optimizer keeps natively: the parameters it is bound to, their state and their counts of steps.
///
/// All that cannot change between steps is checked once, when a group is added; a step compares pointers and layouts.
class Optimizer {
public:
    /// `owner` begins error messages about hyper-parameters ("AdamW").
    explicit Optimizer(std::string owner);

    /// Binds parameters, all or none, and allocates their state.
    ///
    /// `labels` are how the user knows each array ("params['w']"), `keys` the ends of their gradients' labels
    /// ("['w']", "[3]", or "" for a single array). `hyper` is the group's dict; `variant(hyper)` gives the name of
    /// its rule, which depends on `variant_keys`.
    void add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant);

    /// One update of all that has a gradient. Raises before anything has changed, or does all of it.
    void step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale);

    /// State `slot` of a tensor, as an array over the memory itself.
    py::array state(std::size_t tensor, std::size_t slot) const;
    std::vector<std::string> slots(std::size_t tensor) const;

    std::int64_t steps(std::size_t tensor) const { return tensors_.at(tensor).step; }
    void set_steps(std::size_t tensor, std::int64_t steps);
    std::int64_t completed() const { return completed_; }
    void set_completed(std::int64_t steps);
    std::size_t size() const { return tensors_.size(); }

private:
    /// What a step compares for each tensor.
    struct Bound {
        py::object param;
        Layout layout;
        const void* checked_grad = nullptr;  ///< known to be apart from all that the optimizer writes
    };

    struct Identity {
        std::string label, key;
        py::str name;
    };

    struct BoundGroup {
        HyperReader reader;
        py::function variant;
        std::vector<std::pair<py::object, py::object>> variant_values;  ///< key, and the value last looked at
        std::shared_ptr<Slab> state;
        std::unique_ptr<Py_ssize_t[]> axes;
    };

    class Exclusive;
    struct Addition;

    void require_new_names(Addition& added) const;
    void bind_params(const py::list& params, Addition& added, BoundGroup& group) const;
    void require_apart(const Addition& added) const;
    void bind_state(std::size_t rule, const HyperValues& hyper, std::vector<Tensor>& tensors, BoundGroup& group) const;
    double checked_loss_scale(py::handle value) const;
    void read_groups(const py::list& param_groups, double loss_scale);
    void read_variant(std::size_t group, const py::dict& hyper);
    /// Returns what holds the arrays while they are in use.
    py::object take_grads(const py::object& grads);
    void take_grads_by_name(const py::dict& grads);
    void take_sequence(PyObject* const* grads);
    /// Takes None, or a gradient in which nothing is unusual; false leaves the tensor to take_grad.
    bool take_plainly(std::size_t tensor, PyObject* grad) noexcept;
    void take_grad(std::size_t tensor, PyObject* grad, bool by_name);
    void set_grad(std::size_t tensor, const void* grad) noexcept;
    void check_grad(std::size_t tensor, PyObject* grad, bool by_name) const;
    bool is_same_param(std::size_t tensor) const noexcept;
    void require_same_param(std::size_t tensor) const;
    std::string grad_label(std::size_t tensor, bool by_name) const;
    void plan();
    void run(const py::object& grads);

    std::string owner_;
    std::vector<Tensor> tensors_;  ///< what the engine sees; `step` counts the updates done
    std::vector<Bound> bound_;
    std::vector<Identity> identities_;
    py::dict index_of_name_;
    std::vector<cpu::Group> groups_;
    std::vector<BoundGroup> bound_groups_;
    Regions regions_;
    std::int64_t completed_ = 0;

    std::vector<plan::Cut> cuts_;
    int parts_ = 1;
    std::atomic<int> planned_threads_{0};  ///< 0: tensors or gradients have come or gone since
    std::int64_t active_elements_ = 0;
    std::atomic<bool> busy_{false};
};

}  // namespace adamcore::python

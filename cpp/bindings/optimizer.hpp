#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/cpu/engine.hpp"
#include "arrays.hpp"
#include "groups.hpp"
#include "names.hpp"
#include "norms.hpp"
#include "options.hpp"
#include "regions.hpp"
#include "slab.hpp"
#include "walk.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What an optimizer keeps natively: the parameters it is bound to, their state and their counts of steps.
///
/// All that cannot change between steps is checked once, when a group is added; a step compares pointers and layouts.
class Optimizer {
public:
    /// `owner` begins error messages about hyper-parameters ("AdamW"); `options` is what read_options() takes.
    Optimizer(std::string owner, const py::dict& options);

    /// Binds parameters, all or none, and allocates their state.
    ///
    /// `labels` are how the user knows each array ("params['w']"), `keys` the ends of their gradients' labels
    /// ("['w']", "[3]", or "" for a single array). `hyper` is the group's dict; `variant(hyper)` gives the name of
    /// its rule, which depends on `variant_keys`.
    void add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant);

    /// One update of all that has a gradient. Raises before anything has changed, or does all of it, or skips all of
    /// it because `check`, a loss_scale other than 1 or the options ask for finite gradients and one is not.
    ///
    /// None, or where gradients were measured: whether the step was skipped, their norm, and the label of the first
    /// that is not finite, or None.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check);

    /// The names of what is kept for a tensor: the rule's slots, then what is kept of its weights.
    std::vector<std::string> slots(std::size_t tensor) const;
    /// That number of these, as an array over the memory itself.
    py::array state(std::size_t tensor, std::size_t slot) const;

    std::int64_t steps(std::size_t tensor) const { return tensors_.at(tensor).step; }
    void set_steps(std::size_t tensor, std::int64_t steps);
    std::int64_t completed() const { return completed_; }
    void set_completed(std::int64_t steps);
    std::size_t size() const { return tensors_.size(); }

private:
    /// A gradient that was accepted though it differs from its parameter in layout, or is walked in another order
    /// when it is measured.
    struct Unusual {
        std::vector<Py_ssize_t> axes;         ///< its shape and strides
        std::unique_ptr<OwnedLayout> layout;  ///< null where dense
        Walk in_c_order;
    };

    /// What a step compares for each tensor.
    struct Bound {
        py::object param;
        PyObject* descr = nullptr;  ///< of the gradient accepted last, borrowed from usual_descr(), and its layout
        ShapeAndStrides expected;
        const void* checked_grad = nullptr;  ///< known to be apart from all that the optimizer writes
        std::unique_ptr<Unusual> unusual;
    };

    /// Another library's array, over whose memory a parameter is.
    struct Lender {
        std::size_t tensor;
        py::object array;
        std::optional<std::uintptr_t> pointer;  ///< where its memory was, if it says so
    };

    struct Form {
        ShapeAndStrides shape;
        Order order;  ///< in which elements are counted
    };

    /// The memory of a group.
    struct GroupMemory {
        std::shared_ptr<Slab> state;
        std::unique_ptr<Py_ssize_t[]> axes;
        std::vector<py::object> pins;  ///< weak references to parameters: NumPy resizes no array that has one
    };

    struct Addition;
    struct GradTaker;

    void bind_params(const py::list& params, const std::vector<std::string>& names,
                     const std::vector<std::string>& labels, Addition& added, GroupMemory& memory) const;
    static void bind_state(const Group& group, std::vector<Tensor>& tensors, GroupMemory& memory);
    static void start_weights(const Addition& added);
    /// Returns what holds the arrays while they are in use; a dict if they are by name.
    py::object take_grads(const py::object& grads);
    /// False if one of them is unusual, and then nothing is said of the others.
    bool take_plain_sequence(PyObject* const* grads);
    /// Takes None, or a gradient in which nothing is unusual; false leaves the tensor to take_grad.
    bool take_plainly(std::size_t tensor, PyObject* grad) noexcept;
    /// Returns what holds the memory: the gradient, or a NumPy array over it.
    py::object take_grad(std::size_t tensor, const py::object& grad, bool by_name);
    void set_grad(std::size_t tensor, const void* grad) noexcept;
    /// Expects gradients of this layout and dtype from now on.
    static void expect(Tensor& tensor, Bound& bound, const Form& form, const ArrayView& param, const ArrayView& grad);
    ArrayView param_view(std::size_t tensor) const;
    bool is_same_param(std::size_t tensor) const noexcept;
    void require_same_param(std::size_t tensor) const;
    /// Raises if the memory of a parameter with a gradient is no longer its lender's. May run anyone's code.
    void require_lenders_in_place() const;
    void plan();
    /// Measures gradients as the options ask and completes `treatment`; returns the sum of their squares and, if
    /// there is one, the first tensor whose gradient is not finite.
    struct Measured {
        norm::Squares squares;
        std::optional<std::size_t> culprit;
    };
    Measured measure(Treatment& treatment);
    Measured measure_units(Treatment& treatment);
    void update(const Treatment& treatment, bool measured);

    Groups groups_;
    Options options_;
    Names names_;
    std::vector<Tensor> tensors_;  ///< what the engine sees; `step` counts the updates done
    std::vector<Bound> bound_;
    std::vector<Form> forms_;
    std::vector<Lender> lenders_;
    std::vector<GroupMemory> memory_;
    Regions regions_;
    std::int64_t completed_ = 0;

    std::vector<plan::Cut> cuts_;
    int parts_ = 1;
    std::atomic<int> planned_threads_{0};  ///< 0: tensors or gradients have come or gone since
    std::int64_t active_elements_ = 0;
    Norms norms_;
    std::vector<double> factors_;      ///< of tensors, or of all units
    std::vector<std::size_t> active_;  ///< the tensors that are measured
    std::atomic<bool> busy_{false};
};

}  // namespace adamcore::python

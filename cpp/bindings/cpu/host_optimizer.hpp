#pragma once

#include <array>
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
#include "cpu/norms.hpp"
#include "cpu/slab.hpp"
#include "cpu/units.hpp"
#include "gate/arrays.hpp"
#include "gate/walk.hpp"
#include "optimizer/checkpoint.hpp"
#include "optimizer/containers.hpp"
#include "optimizer/exclusive.hpp"
#include "optimizer/groups.hpp"
#include "optimizer/names.hpp"
#include "optimizer/options.hpp"
#include "regions/regions.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What an optimizer keeps natively: the parameters it is bound to, their state and their counts of steps.
///
/// All that cannot change between steps is checked once, when a group is added; a step compares pointers and layouts.
class Optimizer {
public:
    /// `owner` begins error messages about hyper-parameters ("AdamW"); `options` is what read_options() takes.
    Optimizer(std::string owner, const py::dict& options);

    /// Binds parameters, all or none, allocates their state and appends the group's dict to `param_groups`.
    ///
    /// `group` holds hyper-parameters and, as "params", the list of arrays; `source` is the list or dict that the user
    /// passed, or None. `labels` are how the user knows each array ("params['w']"), `keys` the ends of their gradients'
    /// labels ("['w']", "[3]", or "" for a single array). `variant(group)` gives the name of the group's rule, which
    /// depends on `variant_keys`.
    void add_group(const py::list& param_groups, const py::dict& group, const py::object& source, const py::list& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant);

    /// One update of all that has a gradient. Raises before anything has changed, or does all of it, or skips all of
    /// it because `check`, a loss_scale other than 1 or the options ask for finite gradients and one is not.
    ///
    /// None, or where gradients were measured: whether the step was skipped, their norm, and the label of the first
    /// that is not finite, or None.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check);

    /// What a parameter's state is made of: name -> an array over the memory itself.
    py::dict state(std::size_t tensor) const;
    /// The numbers of updates of each parameter.
    std::int64_t steps(std::size_t tensor) const;
    std::int64_t completed() const;
    std::size_t size() const { return tensors_.size(); }
    /// The places of parameters, by name.
    const py::dict& places() const { return names_.places(); }

    /// Raises RuntimeError where somebody uses the optimizer.
    void require_idle() const { use_.require_idle(groups_.owner()); }
    /// A copy of all state: the dict of names, and the number of completed steps.
    py::tuple snapshot();
    /// Takes over what snapshot() has given, and writes `values`, a list of dicts, into the groups' dicts; all or nothing.
    void restore(const py::list& values, const py::object& state, std::int64_t completed, const py::function& to_numpy);

    /// For the garbage collector.
    int traverse(visitproc visit, void* context) const;
    void clear();

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
        bool counts_writes;
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

    void take_params(const py::list& params, const std::vector<std::string>& labels, Addition& added) const;
    void bind_params(const std::vector<py::str>& names, const std::vector<std::string>& labels, Addition& added) const;
    void bind_state(const Group& group, const std::vector<std::string>& labels, Addition& added) const;
    static void start_weights(const Addition& added);
    void commit(Addition&& added) noexcept;
    /// Returns what holds the arrays while they are in use; a dict if they are by name.
    py::object take_grads(const py::object& grads, bool hold);
    /// False if one of them is unusual, and then nothing is said of the others.
    bool take_plain_sequence(PyObject* const* grads);
    /// Takes None, or a gradient in which nothing is unusual; false leaves the tensor to take_grad.
    bool take_plainly(std::size_t tensor, PyObject* grad) noexcept;
    void take_grad(std::size_t tensor, const py::object& grad, bool by_name);
    void set_grad(std::size_t tensor, const void* grad) noexcept;
    /// Expects gradients of this layout and dtype from now on.
    static void expect(Tensor& tensor, Bound& bound, const Form& form, const ArrayView& param, const ArrayView& grad);
    ArrayView param_view(std::size_t tensor) const;
    bool is_same_param(std::size_t tensor) const noexcept;
    void require_same_param(std::size_t tensor) const;
    /// A list of those that count writes, of the parameters with a gradient; null where there can be none.
    py::object written() const;
    StateArrays state_arrays() const;
    std::vector<StateArray> state_arrays(std::size_t tensor) const;
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

    mutable Use use_;
    Groups groups_;
    Options options_;
    Names names_;
    Containers containers_;
    std::vector<Tensor> tensors_;  ///< what the engine sees; `step` counts the updates done
    std::vector<Bound> bound_;
    std::vector<Form> forms_;
    std::vector<Lender> lenders_;
    std::vector<GroupMemory> memory_;
    std::array<PyObject*, 4> descrs_{};  ///< by Dtype, of parameters that there are
    Regions regions_;
    std::int64_t completed_ = 0;
    std::int64_t elements_ = 0;  ///< of all parameters
    bool has_checked_ = false;   ///< whether any gradient has been held against all parameters

    std::vector<plan::Cut> cuts_;
    int parts_ = 1;
    std::atomic<int> planned_threads_{0};  ///< 0: tensors or gradients have come or gone since
    std::int64_t active_elements_ = 0;
    Norms norms_;
    Units units_;
    std::vector<Scale> factors_;       ///< of tensors, or of all units
    std::vector<std::size_t> active_;  ///< the tensors that are measured
};

}  // namespace adamcore::python

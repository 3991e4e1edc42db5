#pragma once

#include <array>
#include <atomic>
#include <cstddef>
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
#include "cpu/scratch.hpp"
#include "cpu/units.hpp"
#include "gate/arrays.hpp"
#include "gate/recognition.hpp"
#include "gate/tensors.hpp"
#include "gate/walk.hpp"
#include "optimizer/bound_optimizer.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// The optimizer of arrays in CPU memory, with their state and step counts.
///
/// What cannot change between steps is checked once, when a group is added. A step compares only pointers and layouts.
class HostOptimizer final : public BoundOptimizer, private Names::Taker {
public:
    HostOptimizer(std::string owner, const Options& options);

    /// Does one update of all parameters that have a gradient: `grads`, or if the window of accumulation is open, its mean
    /// together with `grads`, of this weight, unless they are None. Raises an error before anything has changed; or updates
    /// all of them; or skips all of them, if a gradient is not finite and `check`, a loss_scale other than 1 or the
    /// options demand finite gradients. Then the window is empty, unless an error follows where the step is skipped
    /// (`raises`, or the options say so).
    ///
    /// Returns None, or if gradients were measured, whether the step was skipped, their norm, the label of the first
    /// gradient that is not finite if the step was skipped for it, or else None, and whether the norm is a spike.
    ///
    /// With `columns`, bits of statistics::Column, returns that, an array with a row for each column, and the sizes of the
    /// parameters.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check,
                    const py::object& weight, bool raises, unsigned columns);
    /// Adds gradients to the window of accumulation, which no step has used yet. Raises an error before anything has
    /// changed, or does it.
    void accumulate(const py::object& grads, const py::list& param_groups, const py::object& weight);

    /// The state of a parameter: name -> an array that is a view of the memory itself.
    py::dict state(std::size_t tensor) const;
    /// The number of updates of a parameter.
    std::int64_t steps(std::size_t tensor) const;
    std::int64_t completed() const;

    /// Copies within CPU memory, with all threads. Does not need the GIL, and cannot fail.
    static void run(const Copies& copies) noexcept;

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* context) const;
    void clear() noexcept;

private:
    /// A gradient that was accepted although its layout differs from its parameter's, or that is walked in another
    /// order when it is measured.
    struct Unusual {
        std::vector<Py_ssize_t> axes;         ///< its shape and strides
        std::unique_ptr<OwnedLayout> layout;  ///< null where dense
        Walk in_c_order;
    };

    /// What is known of the gradient accepted last.
    struct GradForm {
        PyObject* descr = nullptr;  ///< borrowed from usual_descr()
        ShapeAndStrides expected;
        const void* checked_grad = nullptr;  ///< known not to overlap anything that the optimizer writes
        std::ptrdiff_t grad_begin = 0;       ///< from its address to the first byte that it touches
        std::size_t grad_bytes = 0;          ///< from there to the last one
        Recognition grad_tensor;             ///< a tensor known not to be a lazy negative view
        std::unique_ptr<Unusual> unusual;
    };

    /// The values that a step compares for each tensor.
    struct Bound : GradForm {
        py::object param;
        bool is_lent = false;  ///< whether `param` is our own array over memory of another library
    };

    /// A parameter's sum as its gradient.
    struct SumForm {
        GradForm form;
        const void* described = nullptr;  ///< the array that the other members describe
        const void* grad = nullptr;       ///< it, if the step uses it
        Dtype dtype = Dtype::float32;
        const Layout* layout = nullptr;
    };

    /// A step with an open window of accumulation. While it lives, the sums of the window are the tensors' gradients.
    class WindowStep {
    public:
        /// `last` is the leaf that the step itself brings, if there is one. If the step `keeps_sums`, take_back() can undo
        /// add(). Raises an error before anything has changed.
        WindowStep(HostOptimizer& of, std::optional<Leaf> last, bool keeps_sums);
        ~WindowStep();
        WindowStep(const WindowStep&) = delete;
        WindowStep& operator=(const WindowStep&) = delete;

        /// By what the sums are divided.
        Scale divisor() const;
        /// Adds the last leaf.
        void add() const noexcept;
        void take_back() const noexcept;

    private:
        void back_up();

        HostOptimizer& optimizer_;
        std::optional<Leaf> leaf_;
        Aside sums_;  ///< as they were, if the step keeps them
    };

    /// Takes back the count of a step that is not done.
    struct Uncounted {
        explicit Uncounted(HostOptimizer& of) : optimizer(of) {}
        ~Uncounted() {
            if (optimizer.is_counted_) optimizer.count_step(-1);
        }
        Uncounted(const Uncounted&) = delete;
        Uncounted& operator=(const Uncounted&) = delete;

        HostOptimizer& optimizer;
    };

    struct GroupBinding;
    class ObservedStep;

    std::unique_ptr<Binding> bind(Addition& added) override;
    StateBlock allocate_state(std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots,
                              const std::vector<std::string>& labels) override;
    void start_state(const Started& started) override;
    void rescale(const std::vector<Rescaling>& rescalings) override;
    /// Counts a step of the averages, and prepares the passes that follow its updates.
    cpu::Followers advance_averages() noexcept;
    void run_weight_pass(std::size_t pass, const std::vector<Tensor>& tensors,
                         const std::vector<double>& shares) override;
    void use_state(std::size_t i, const SlotArrays& state, bool begins) noexcept override;
    void forget_checked() noexcept override;
    std::unique_ptr<BoundOptimizer> make_like() const override;
    void convert(const std::vector<Conversion>& conversions) const override;
    void adopt(BoundOptimizer& other) noexcept override;
    const Tensor& tensor_at(std::size_t i) const override { return tensors_[i]; }
    std::int64_t count_completed() const override { return completed_; }
    Counts counts() override;
    bool is_on_host() const override { return true; }
    void save(const Copies& copies) override;
    void put_back(const Copies& copies) override { save(copies); }
    void load(const Copies& copies, const Counts& counts) override;

    Names::Taken take_grads(const py::object& grads, bool hold);
    bool take_plainly(PyObject* const* grads) override;
    bool take_plainly(std::size_t tensor, PyObject* grad) noexcept;
    void prepare(std::size_t tensor, py::object& grad, Names::By by) override;
    void take(std::size_t tensor, const py::object& grad, Names::By by) override;
    void prefetch(std::size_t tensor, PyObject* grad) const noexcept override;
    bool is_wary() const override { return expects_new_tensors_ || lenders_run_code(); }
    bool take_array(std::size_t tensor, PyObject* grad) noexcept;
    bool recognises(std::size_t tensor, PyObject* grad, const TensorType& type) const noexcept;
    bool is_like_before(std::size_t tensor, const dlpack::abi::Tensor& grad) const noexcept;
    bool take_like_before(std::size_t tensor, const void* grad) noexcept;
    bool is_apart(const Bound& bound, const void* grad) const noexcept;
    /// Takes a gradient whose memory is known, or raises an error. `memory_owner` is the result of owner_of().
    void examine(std::size_t tensor, const ArrayView& grad, const void* memory_owner, const std::string& label);
    void set_grad(std::size_t tensor, const void* grad) noexcept;
    /// Prepares for gradients of this layout and dtype.
    static void expect(Tensor& tensor, GradForm& known, const Form& form, const ArrayView& param,
                       const ArrayView& grad);
    /// Raises an error if the memory of a parameter that has a gradient is not what it was.
    void require_sums_in_place() const;
    void require_params_in_place() const override;
    bool is_same_param(std::size_t tensor) const noexcept;
    void require_same_param(std::size_t tensor) const;
    /// The place of a type in `descrs_`.
    static std::size_t place_of(Element element) {
        return 2 * static_cast<std::size_t>(element.dtype) + element.is_complex;
    }
    Names::Taken take_uncounted(const py::object& grads);
    void add(const Leaf& leaf) const noexcept;
    void describe_sum(std::size_t i, const Sum& sum);
    /// Exchanges the tensors' gradients, and what is known of them, for the sums.
    void exchange_grads() noexcept;
    /// Adds `by` to the step count of each tensor that has a gradient.
    void count_step(int by) noexcept;
    void plan();
    /// What is known of gradients.
    struct Measured {
        double norm = 0;                       ///< after unscaling
        std::optional<std::size_t> culprit{};  ///< the first tensor whose gradient is not finite
        bool is_spike = false;
    };
    /// Measures gradients as the options demand, and completes `treatment`.
    Measured measure(Treatment& treatment, SpikeLimit limit);
    Measured measure_units(Treatment& treatment);
    norm::Reading grad_in_c_order(std::size_t tensor) const noexcept;
    void update(const Treatment& treatment, bool measured, ObservedStep* observed) noexcept;

    std::vector<Tensor> tensors_;  ///< what the engine sees; `step` counts the updates done
    std::vector<Bound> bound_;
    std::vector<py::object> pins_;       ///< weak references to parameters: NumPy resizes no array that has one
    std::array<PyObject*, 8> descrs_{};  ///< by place_of(), of parameters that there are
    std::int64_t completed_ = 0;
    std::int64_t elements_ = 0;  ///< of all parameters
    bool has_checked_ = false;   ///< whether any gradient has been checked against all parameters
    bool is_counted_ = false;    ///< whether the step counts include the step that is being prepared
    bool has_new_tensors_ = false, expects_new_tensors_ = false;  ///< among the gradients of this step, of the next

    std::vector<plan::Cut> cuts_;
    int parts_ = 1;
    std::atomic<int> planned_threads_{0};  ///< 0 if tensors or gradients have been added or removed since
    std::int64_t active_elements_ = 0;
    std::vector<cpu::LatestConstants> latest_;              ///< by group
    std::vector<std::optional<std::size_t>> first_active_;  ///< by group: a tensor that is updated, where there is one
    Scratch scratch_;
    cpu::Workspace workspace_;  ///< of the step that is being prepared
    Norms norms_;
    Units units_;
    std::vector<std::vector<void*>> averaged_;  ///< the arrays of each average, by tensor
    std::vector<cpu::Follower> followers_;
    std::vector<SumForm> sum_forms_;   ///< by parameter, once a step has used sums
    std::vector<Scale> factors_;       ///< of tensors, or of all units
    std::vector<std::size_t> active_;  ///< the tensors that are measured
};

/// Adds step() to the Python class, as a method that costs little to call.
void add_step(py::class_<HostOptimizer>& optimizer);

}  // namespace adamcore::python

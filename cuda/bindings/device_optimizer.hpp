#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/cuda/engine.hpp"
#include "device_array.hpp"
#include "gate/recognition.hpp"
#include "gate/tensors.hpp"
#include "gate/walk.hpp"
#include "guards/spike_history.hpp"
#include "optimizer/bound_optimizer.hpp"
#include "overruns.hpp"
#include "scaler.hpp"

namespace adamcore::python {

/// The optimizer of arrays in the memory of one CUDA device. Steps are queued, and nothing waits for them.
class DeviceOptimizer : public BoundOptimizer {
public:
    /// `library` allocates memory: library.allocate(bytes, device) returns an object that owns it, and its address.
    /// library.stream(device) is the stream on which it may be used.
    DeviceOptimizer(std::string owner, const Options& options, py::object library);
    ~DeviceOptimizer() override;

    /// Like HostOptimizer::step(), but returns None or a StepReport. With `columns`, returns that, a StatisticsReport and
    /// the sizes of the parameters.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check,
                    Scaler* scaler, const py::object& weight, unsigned columns);
    void accumulate(const py::object& grads, const py::list& param_groups, const py::object& weight);
    /// Copies hyper-parameters to the device, for steps that have been captured: those of schedules for the next `steps`
    /// steps.
    void upload(const py::list& param_groups, std::int64_t steps);
    /// The state of a parameter: name -> the object that owns the memory, the offset in bytes, shape, strides in bytes,
    /// and dtype.
    py::dict state(std::size_t tensor) const;

    std::int64_t steps(std::size_t tensor) const;
    /// Warns if captured steps have come after the last uploaded value of a schedule.
    std::int64_t completed();
    void settle() override;
    int device() const { return device_; }

    /// Called by the garbage collector.
    int traverse(visitproc visit, void* context) const;
    void clear() noexcept;

private:
    struct GroupBinding;
    struct GradTaker;

    /// What a gradient was like that has been checked.
    struct KnownGrad {
        Recognition array;              ///< not a lazy negative view
        const void* address = nullptr;  ///< on the optimizer's device, and apart from everything that it writes
        std::ptrdiff_t begin = 0;       ///< from its address to the first byte that it touches
        std::size_t bytes = 0;          ///< from there to the last one
        Library library = Library::other;
        bool given = false;  ///< whether the latest step had a gradient

        void forget() noexcept {
            array.forget();
            address = nullptr;
            bytes = 0;
        }
    };

    /// How a gradient is walked.
    struct GradWalk {
        std::vector<Py_ssize_t> grad_strides;
        std::unique_ptr<OwnedLayout> layout;
        Walk measured_param, measured_grad;
    };

    struct Bound : GradWalk {
        py::object param, param_lent;
        Library library = Library::other;
        std::optional<cuda::Stream> grad_stream;  ///< of a library without a current one
        py::object lent;                          ///< what keeps memory that is in no library's pool
        py::object grad_dtype;                    ///< the object, of a CuPy array
    };

    /// A parameter's sum as its gradient.
    struct SumForm {
        GradWalk walk{};
        const void* described = nullptr;  ///< the array that `walk` and `dtype` describe
        const void* grad = nullptr;       ///< it, if the step uses it
        Dtype dtype = Dtype::float32;
        bool differs = false;  ///< whether it is walked in another way than the gradient accepted last
    };
    class WindowStep;

    std::unique_ptr<Binding> bind(Addition& added) override;
    StateBlock allocate_state(std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots,
                              const std::vector<std::string>& labels) override;
    void start_state(const Started& started) override;
    void rescale(const std::vector<Rescaling>& rescalings) override;
    void require_new_averages() const override;
    void averages_changed() noexcept override { are_averages_changed_ = true; }
    void read_averages() override;
    /// Tells the engine how far averages have come that have been loaded.
    void load_averages();
    /// Tells the engine which averages follow its steps, if that has changed.
    void send_averages();
    void run_weight_pass(std::size_t pass, const std::vector<Tensor>& tensors,
                         const std::vector<double>& shares) override;
    void require_changeable_state() const override;
    std::unique_ptr<BoundOptimizer> make_like() const override;
    void convert(const std::vector<Conversion>& conversions) const override;
    void before_rebind() override;
    void before_adopt(BoundOptimizer& other) override;
    void adopt(BoundOptimizer& other) noexcept override;
    void use_state(std::size_t i, const SlotArrays& state, bool begins) noexcept override;
    void forget_checked() noexcept override;
    const Tensor& tensor_at(std::size_t i) const override { return engine_->entry(i).tensor; }
    std::int64_t count_completed() const override;
    std::vector<double> shared_numbers() override;
    Counts counts() override;
    bool is_on_host() const override { return false; }
    void save(const Copies& copies) override;
    void save_settled(const Copies& copies) override;
    void put_back(const Copies& copies) override;
    void load(const Copies& copies, const Counts& counts) override;
    void loaded() override;

    /// A step that a SpikeGuard has not heard of yet.
    struct Unsettled {
        std::shared_ptr<SpikeHistory> history;
        SpikeLimit limit;
        cuda::Report report;
    };
    /// Tells it to the guard. Waits for the latest step.
    void settle_spikes();
    void settle_steps() override { settle_spikes(); }
    [[noreturn]] void refuse_capture_of_guard() const;

    cuda::Settings settings() const;
    std::optional<Exclusive> exclusive_for_counts() const;
    void upload_groups(const py::list& param_groups, std::int64_t steps);
    /// The values of schedules in captured steps, and the names of what has schedules.
    struct Upcoming {
        cuda::Forecast forecast{};
        std::set<std::string> keys{};
    };
    void use(Upcoming upcoming);
    /// Evaluates schedules for a captured step too, if upload() has not done it.
    std::optional<Upcoming> evaluate_for_capture();
    /// The values in the `steps` steps after `completed` ones. If either is not known, captured steps keep the values that
    /// there are.
    Upcoming evaluate_ahead(std::optional<std::int64_t> completed, std::int64_t steps) const;
    cuda::Stream stream() const;
    cuda::Stream stream_of_pool(int device) const;
    std::vector<cuda::Stream> other_streams(cuda::Stream own) const;
    /// Remembers types by which later arrays of a library are recognised, and through which it is asked for its stream.
    void remember_library(const py::object& array, Library library);
    std::optional<cuda::Stream> current_stream_of(Library library) const;
    bool take_plainly(std::size_t tensor, PyObject* grad);
    bool recognises(std::size_t tensor, PyObject* grad) const;
    bool is_unmoved(std::size_t tensor, PyObject* grad) const;
    bool tells_plainly(std::size_t tensor, PyObject* grad) const;
    void prepare(std::size_t tensor, const py::object& grad, Names::By by);
    void take(std::size_t tensor, const py::object& grad, Names::By by);
    bool take_like_before(std::size_t tensor, py::handle grad);
    const char* look_at_cupy(std::size_t tensor, py::handle grad) const;
    const char* look_at_torch(std::size_t tensor, py::handle grad) const;
    void take_grad(std::size_t tensor, const py::object& grad, Names::By by);
    void expect(std::size_t tensor, DeviceArray grad);
    /// Determines how a parameter and its gradient are walked.
    void walk(GradWalk& bound, const Form& form, const ArrayView& param, const ArrayView& grad) const;
    /// Sets the members of an entry that depend on this.
    void describe_walks(const GradWalk& bound, const Form& form, cuda::Entry& entry) const;
    /// Prepares statistics of the step under way.
    std::shared_ptr<cuda::Observation> observe(unsigned columns);
    /// Raises an error in a capture: what is captured would go on with the sums of now.
    void require_no_capture() const;
    void add(const Leaf& leaf);
    void describe_sum(std::size_t i, const Sum& sum);
    /// Exchanges the tensors' gradients, and how they are walked, for the sums.
    void exchange_grads();
    bool is_clipped_by_units(const Form& form) const {
        return options_.clip == Clip::units && form.shape.own_ndim() >= 2;
    }

    py::object library_;
    std::unique_ptr<cuda::Engine> engine_;
    std::vector<std::unique_ptr<cuda::Engine>> retired_;  ///< of former arrays; graphs with captured steps use them
    int device_ = -1;
    int state_device_ = -1;  ///< the same, while the first group is added too
    std::vector<Bound> bound_;
    std::vector<KnownGrad> known_grads_;
    std::vector<SumForm> sum_forms_;           ///< by parameter, once a step has used sums
    py::object cupy_type_;                     ///< of the CuPy arrays that have been examined
    const TensorType* tensor_type_ = nullptr;  ///< of a tensor that tells PyTorch's current stream
    std::vector<PyObject*> held_;              ///< gradients of the step under way, a reference each
    cuda::Stream stream_ = 0;                  ///< of that step
    unsigned grad_libraries_ = 0;              ///< a bit for each library that arrays have come from
    bool has_known_grads_ = false;             ///< whether any gradient has been checked against all parameters
    bool has_new_grads_ = false, expects_new_grads_ = false;  ///< among the arrays of this step, of the next
    std::optional<std::int64_t> completed_ = 0;               ///< known as long as no step can have been skipped
    std::optional<Unsettled> unsettled_;
    bool are_averages_changed_ = false;  ///< against what the engine knows
    bool are_averages_known_ = true;     ///< whether the host knows how far they have come
    std::int64_t uploaded_steps_ = 0;    ///< for how many the latest upload() has brought values
    std::size_t uploaded_listing_ = 0;   ///< Groups::listing() of then
    Overruns overruns_;
};

}  // namespace adamcore::python

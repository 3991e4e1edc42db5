#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/cuda/engine.hpp"
#include "exclusive.hpp"
#include "gate.hpp"
#include "groups.hpp"
#include "names.hpp"
#include "options.hpp"
#include "regions.hpp"
#include "scaler.hpp"
#include "walk.hpp"

namespace adamcore::python {

/// What a step on a device has to report, to be read when somebody asks.
class StepReport {
public:
    StepReport(cuda::Report report, std::shared_ptr<const Names> names, bool by_name)
        : report_(std::move(report)), names_(std::move(names)), by_name_(by_name) {}

    /// Whether the step was skipped, the gradients' norm, and the label of the first that is not finite, or None. Waits
    /// for the optimizer's latest step.
    py::tuple read();

private:
    cuda::Report report_;
    std::shared_ptr<const Names> names_;
    bool by_name_;
    std::optional<cuda::Outcome> known_;
};

/// Says which thread steps, as long as it lives.
class Stepping {
public:
    explicit Stepping(std::atomic<std::thread::id>& thread) : thread_(thread) { thread_ = std::this_thread::get_id(); }
    ~Stepping() { thread_ = std::thread::id(); }
    Stepping(const Stepping&) = delete;
    Stepping& operator=(const Stepping&) = delete;

private:
    std::atomic<std::thread::id>& thread_;
};

/// _core.Optimizer for arrays in the memory of one CUDA device: steps are queued, and nothing waits for them.
class DeviceOptimizer {
public:
    DeviceOptimizer(std::string owner, const py::dict& options);
    ~DeviceOptimizer();
    DeviceOptimizer(const DeviceOptimizer&) = delete;
    DeviceOptimizer& operator=(const DeviceOptimizer&) = delete;

    /// As _core.Optimizer.add_group. `library` gives memory: library.allocate(bytes, device) returns an object that
    /// keeps it, and its address.
    void add_group(const py::dict& hyper, const py::list& params, const std::vector<std::string>& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant, const py::object& library);

    /// As _core.Optimizer.step, but for what it returns: None or a StepReport.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check,
                    Scaler* scaler);
    /// Brings hyper-parameters to the device before a captured step is replayed.
    void upload(const py::list& param_groups);
    /// What is queued on a stream from now on comes after all steps so far, and steps come after what is queued there.
    void order(cuda::Stream stream);

    std::vector<std::string> slots(std::size_t tensor) const;
    /// That number of these: the object that keeps the memory, the offset in bytes, shape, strides in bytes, and dtype.
    py::tuple state(std::size_t tensor, std::size_t slot) const;

    std::int64_t steps(std::size_t tensor) const;
    std::vector<std::int64_t> all_steps() const;
    void set_steps(std::size_t tensor, std::int64_t steps);
    std::int64_t completed() const;
    void set_completed(std::int64_t steps);
    std::size_t size() const { return bound_.size(); }
    int device() const { return device_; }

private:
    struct Addition;
    struct GradTaker;

    /// What makes a gradient one that has been seen: the array object, still alive. All that a step looks at for each
    /// tensor.
    struct Seen {
        PyObject* array = nullptr;
        py::object reference;  ///< weak
        bool may_move = true;  ///< whether its memory may have become another
        bool given = false;    ///< whether it was the latest step's
    };

    struct Bound {
        py::object param, param_lent;
        Library library = Library::other;
        std::optional<std::uintptr_t> pointer;  ///< the parameter's memory, where that may become another
        std::vector<Py_ssize_t> axes;           ///< its shape and strides
        int ndim = 0;
        Order order;
        std::size_t memory = 0;  ///< which of memory_ its state is in
        std::vector<Py_ssize_t> grad_strides;
        Library grad_library = Library::other;
        std::optional<cuda::Stream> grad_stream;  ///< of a library without a current one
        py::object lent;                          ///< what keeps memory that is in no library's pool
        std::unique_ptr<OwnedLayout> layout;
        Walk measured_param, measured_grad;
    };

    void bind_params(const py::list& params, const std::vector<std::string>& names,
                     const std::vector<std::string>& labels, std::int32_t group, Addition& added) const;
    void bind_state(const Group& group, const py::object& library, Addition& added) const;
    std::optional<Exclusive> exclusive_for_counts() const;
    std::int64_t count_completed() const;
    cuda::Stream stream() const;
    std::vector<cuda::Stream> other_streams(cuda::Stream own) const;
    bool take_plainly(std::size_t tensor, PyObject* grad);
    bool has_not_moved(std::size_t tensor, PyObject* grad) const;
    void take_grad(std::size_t tensor, const py::object& grad, bool by_name);
    void expect(std::size_t tensor, DeviceArray grad);
    void require_params_in_place() const;
    ArrayView param_view(std::size_t tensor) const;
    void walk(Bound& bound, const ArrayView& param, const ArrayView& grad) const;
    void describe(const Bound& bound, cuda::Entry& entry) const;

    Groups groups_;
    Options options_;
    std::shared_ptr<Names> names_ = std::make_shared<Names>();  ///< reports know it too
    std::optional<cuda::Engine> engine_;
    int device_ = -1;
    std::vector<Bound> bound_;
    std::vector<Seen> seen_;
    std::vector<std::pair<py::object, std::uintptr_t>> memory_;
    Regions regions_;
    std::vector<PyObject*> held_;                ///< gradients of the step under way, a reference each
    cuda::Stream stream_ = 0;                    ///< of that step
    unsigned grad_libraries_ = 0;                ///< a bit for each library that arrays have come from
    bool params_move_ = false;                   ///< whether any parameter's memory may become another
    std::optional<std::int64_t> completed_ = 0;  ///< known as long as no step can have been skipped
    mutable std::atomic<bool> busy_{false};
    std::atomic<std::thread::id> stepping_{};  ///< the thread of the step under way, whose schedules may ask for counts
};

}  // namespace adamcore::python

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
#include "device_array.hpp"
#include "gate/walk.hpp"
#include "optimizer/checkpoint.hpp"
#include "optimizer/containers.hpp"
#include "optimizer/exclusive.hpp"
#include "optimizer/groups.hpp"
#include "optimizer/names.hpp"
#include "optimizer/options.hpp"
#include "regions/regions.hpp"
#include "scaler.hpp"

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

/// _core.Optimizer for arrays in the memory of one CUDA device: steps are queued, and nothing waits for them.
class DeviceOptimizer {
public:
    DeviceOptimizer(std::string owner, const py::dict& options);
    ~DeviceOptimizer();
    DeviceOptimizer(const DeviceOptimizer&) = delete;
    DeviceOptimizer& operator=(const DeviceOptimizer&) = delete;

    /// As _core.Optimizer.add_group. `library` gives memory: library.allocate(bytes, device) returns an object that
    /// keeps it, and its address.
    void add_group(const py::list& param_groups, const py::dict& group, const py::object& source, const py::list& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant, const py::object& library);

    /// As _core.Optimizer.step, but for what it returns: None or a StepReport.
    py::object step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale, bool check,
                    Scaler* scaler);
    /// Brings hyper-parameters to the device before a captured step is replayed.
    void upload(const py::list& param_groups);
    /// What a parameter's state is made of: name -> the object that keeps the memory, the offset in bytes, shape, strides
    /// in bytes, and dtype.
    py::dict state(std::size_t tensor) const;

    std::int64_t steps(std::size_t tensor) const;
    std::int64_t completed() const;
    const py::dict& places() const { return names_->places(); }

    void require_idle() const { use_.require_idle(groups_.owner()); }
    /// As _core.Optimizer's. Either waits for the latest step.
    py::tuple snapshot();
    void restore(const py::list& values, const py::object& state, std::int64_t completed, const py::function& to_numpy);

    /// For the garbage collector.
    int traverse(visitproc visit, void* context) const;
    void clear();

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
        bool counts_writes = false;
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

    void bind_params(const py::list& params, const std::vector<py::str>& names, const std::vector<std::string>& labels,
                     Addition& added) const;
    void bind_state(const Group& group, const py::object& library, const std::vector<std::string>& labels,
                    Addition& added) const;
    static void start_state(Addition& added);
    void commit(Addition&& added);
    cuda::Settings settings() const;
    std::optional<Exclusive> exclusive_for_counts() const;
    void upload_groups(const py::list& param_groups);
    py::list written() const;
    StateArrays state_arrays() const;
    std::vector<StateArray> state_arrays(std::size_t tensor) const;
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

    mutable Use use_;
    Groups groups_;
    Options options_;
    Containers containers_;
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
    bool has_seen_ = false;                      ///< whether any gradient has been held against all parameters
    bool params_move_ = false;                   ///< whether any parameter's memory may become another
    std::optional<std::int64_t> completed_ = 0;  ///< known as long as no step can have been skipped
};

}  // namespace adamcore::python

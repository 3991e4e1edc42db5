// How the CUDA optimizer takes gradients and steps.

#include <algorithm>

#include "device_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "runtime/gil.hpp"
#include "step_report.hpp"

namespace adamcore::python {
namespace {

/// The object of a weak reference, borrowed, or null if it no longer exists. The GIL keeps it alive while it is
/// compared.
PyObject* referent(const py::object& reference) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* found = nullptr;
    if (PyWeakref_GetRef(reference.ptr(), &found) < 0) throw py::error_already_set();
    Py_XDECREF(found);
    return found;
#else
    PyObject* const found = PyWeakref_GET_OBJECT(reference.ptr());
    return found == Py_None ? nullptr : found;
#endif
}

/// An address for arrays without elements, which may have none.
const void* address_of(const ArrayView& view) {
    static const char nothing = 0;
    return view.data || view.size > 0 ? view.data : &nothing;
}

}  // namespace

/// It holds references to gradients, because a step releases the GIL and the user's lists may change meanwhile.
struct DeviceOptimizer::GradTaker : Names::Taker {
    explicit GradTaker(DeviceOptimizer& taker) : optimizer(taker) { optimizer.held_.reserve(optimizer.size()); }
    ~GradTaker() override {
        for (PyObject* const grad : optimizer.held_) Py_DECREF(grad);
        optimizer.held_.clear();
    }
    GradTaker(const GradTaker&) = delete;
    GradTaker& operator=(const GradTaker&) = delete;

    bool take_plainly(PyObject* const* grads) override {
        for (std::size_t i = 0; i < optimizer.size(); ++i) {
            if (!optimizer.take_plainly(i, grads[i])) return false;
        }
        return true;
    }
    py::object prepare(std::size_t, const py::object& grad, Names::By) override { return grad; }
    void take(std::size_t tensor, const py::object& grad, Names::By by) override {
        if (optimizer.take_plainly(tensor, grad.ptr())) return;
        optimizer.take_grad(tensor, grad, by);
        optimizer.held_.push_back(grad.inc_ref().ptr());
    }

    DeviceOptimizer& optimizer;
};

/// The stream for the work: the current stream of the parameters' library, or the stream that the first parameter
/// names.
cuda::Stream DeviceOptimizer::stream() const {
    if (bound_.empty()) return 1;
    const Bound& first = bound_.front();
    if (const auto current = current_stream(first.library, device_)) return *current;
    return device_array(first.param, Access::write, names_->label(0), 1).stream.value_or(1);
}

/// The streams that write the gradients, and will overwrite them.
std::vector<cuda::Stream> DeviceOptimizer::other_streams(cuda::Stream own) const {
    std::vector<cuda::Stream> others;
    const auto add = [&](std::optional<cuda::Stream> stream) {
        if (stream && *stream != own) add_unique(*stream, others);
    };
    for (const Library library : {Library::cupy, Library::torch}) {
        if (grad_libraries_ & bit_of(library)) add(current_stream(library, device_));
    }
    if (grad_libraries_ & bit_of(Library::other)) {
        for (std::size_t i = 0; i < size(); ++i) {
            if (engine_->entry(i).tensor.grad && bound_[i].grad_library == Library::other) add(bound_[i].grad_stream);
        }
    }
    return others;
}

bool DeviceOptimizer::take_plainly(std::size_t i, PyObject* grad) {
    KnownGrad& known = known_grads_[i];
    if (grad == Py_None) {
        if (known.given) engine_->set_grad(i, nullptr);
        known.given = false;
        return true;
    }
    if (grad != known.array || !known.given || referent(known.reference) != grad) return false;
    if (known.may_move && !has_not_moved(i, grad)) return false;
    Py_INCREF(grad);
    held_.push_back(grad);
    return true;
}

bool DeviceOptimizer::has_not_moved(std::size_t i, PyObject* grad) const {
    const auto pointer = data_pointer(grad);
    return pointer && engine_->entry(i).tensor.grad == reinterpret_cast<const void*>(*pointer);
}

void DeviceOptimizer::take_grad(std::size_t i, const py::object& grad, Names::By by) {
    const std::string label = names_->grad_label(i, by);
    DeviceArray found = device_array(grad, Access::read, label, stream_ == 0 ? 1 : stream_);
    Bound& bound = bound_[i];
    const ShapeAndStrides& shape = forms_[i].shape;
    require_shape(found.view, shape.ndim, shape.shape(), label, names_->label(i));
    int device = device_;
    require_device(found, device, "the parameters", label);
    require_apart(found.view, nullptr, label);
    KnownGrad& known = known_grads_[i];
    known.array = nullptr;  // `given` describes what the engine knows, until it knows this gradient
    bound.grad_library = found.library;
    bound.grad_stream = found.stream;
    if (found.library != Library::other) {
        known.reference = py::reinterpret_steal<py::object>(PyWeakref_NewRef(grad.ptr(), nullptr));
        if (!known.reference) throw py::error_already_set();
        known.array = grad.ptr();
        known.may_move = found.library == Library::torch;
    }
    known.given = true;
    grad_libraries_ |= bit_of(found.library);
    bound.lent = found.library == Library::other ? py::make_tuple(grad, found.owner) : py::object();
    expect(i, std::move(found));
}

/// Takes a gradient that has been accepted, and determines how it is walked if that has changed.
void DeviceOptimizer::expect(std::size_t i, DeviceArray grad) {
    Bound& bound = bound_[i];
    const ArrayView& view = grad.view;
    const Tensor& tensor = engine_->entry(i).tensor;
    const bool is_known = tensor.grad_dtype == view.dtype &&
                          std::equal(view.strides, view.strides + view.ndim, bound.grad_strides.begin());
    if (!is_known) {
        walk(bound, forms_[i], view_of_param(tensor, forms_[i]), view);
        cuda::Entry entry = engine_->entry(i);
        entry.tensor.grad_dtype = view.dtype;
        describe_walks(bound, forms_[i], entry);
        engine_->set_kind(i, entry);
    }
    engine_->set_grad(i, address_of(view));
}

py::object DeviceOptimizer::step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale,
                                 bool check, Scaler* scaler) {
    const Exclusive exclusive(use_, owner());
    if (scaler && scaler->device() != device_)
        throw py::value_error(owner() + ": the LossScaler's scale is on CUDA device " +
                              std::to_string(scaler->device()) + ", but the parameters are on device " +
                              std::to_string(device_));
    cuda::StepRequest request;
    request.loss_scale = groups_.checked_loss_scale(loss_scale);
    request.scaling = scaler ? scaler->on_device() : nullptr;
    request.check = check || scaler || request.loss_scale != 1 || options_.checks;
    const bool may_skip = request.check;
    stream_ = stream();
    containers_.require_unchanged(param_groups, *names_, owner());
    const bool has_schedule = Groups::has_schedule(param_groups);
    // Reading the count would wait for the device, which ends a capture. upload() brings the learning rates of captured
    // steps.
    if (!has_schedule || completed_ || !engine_->is_captured(stream_))
        groups_.read(param_groups, has_schedule ? count_completed() : 0);
    GradTaker taker(*this);
    has_known_grads_ = true;
    // The gradients are held, and what is known about device memory stays valid: shapes are copied, and memory stays.
    const Names::Taken taken = names_->take(grads, taker, false);
    require_lenders_in_place();
    const py::object written = this->written();
    for (std::size_t i = 0; i < groups_.size(); ++i) engine_->set_group(i, groups_[i]);
    request.stream = stream_;
    request.others = other_streams(stream_);
    const auto report = [&] {
        // A full queue may wait for work that needs the GIL, and so may the loading of a kernel at its first launch.
        const GilRelease release;
        if (scaler && !engine_->is_captured(stream_)) scaler->join(engine_->sequence(), stream_);
        return engine_->step(request);
    }();
    if (may_skip || engine_->has_captured()) completed_.reset();
    if (completed_) ++*completed_;
    if (written) note_written(written);  // also if the device is going to skip the step, which is not known yet
    if (!report) return py::none();
    return py::cast(StepReport(*report, names_, taken.by));
}

void DeviceOptimizer::upload(const py::list& param_groups) {
    const Exclusive exclusive(use_, owner());
    upload_groups(param_groups);
}

void DeviceOptimizer::upload_groups(const py::list& param_groups) {
    containers_.require_unchanged(param_groups, *names_, owner());
    groups_.read(param_groups, Groups::has_schedule(param_groups) ? count_completed() : 0);
    for (std::size_t i = 0; i < groups_.size(); ++i) engine_->set_group(i, groups_[i]);
    const cuda::Stream current = stream();
    const GilRelease release;
    engine_->upload(current);
}

}  // namespace adamcore::python

// How the CUDA optimizer takes gradients and steps.

#include <algorithm>

#include "device_optimizer.hpp"
#include "gate/foreign.hpp"
#include "gate/written.hpp"
#include "grad_taker.hpp"
#include "runtime/gil.hpp"
#include "runtime/prefetch.hpp"
#include "step_report.hpp"
#include "window_step.hpp"

namespace adamcore::python {
namespace {

/// The address of an array.
const void* address_of(const ArrayView& view) { return view.data || view.size > 0 ? view.data : &no_elements; }

std::optional<std::int64_t> to_integer(const py::object& number) {
    if (!number || !PyLong_Check(number.ptr())) return std::nullopt;
    const std::size_t bits = PyLong_AsSize_t(number.ptr());
    if (bits != static_cast<std::size_t>(-1) || !PyErr_Occurred()) return static_cast<std::int64_t>(bits);
    PyErr_Clear();
    return std::nullopt;
}

/// Whether an object is a tuple of these integers.
bool are_equal(const py::object& tuple, const Py_ssize_t* values, int count) {
    if (!tuple || !PyTuple_Check(tuple.ptr()) || PyTuple_GET_SIZE(tuple.ptr()) != count) return false;
    for (int i = 0; i < count; ++i) {
        PyObject* const item = PyTuple_GET_ITEM(tuple.ptr(), i);
        if (!PyLong_Check(item) || PyLong_AsSsize_t(item) != values[i]) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

}  // namespace

void DeviceOptimizer::remember_library(const py::object& array, Library library) {
    if (library == Library::cupy) cupy_type_ = py::type::of(array);
    const TensorType* const type = library == Library::torch ? TensorType::of(array) : nullptr;
    if (type) tensor_type_ = type;
}

std::optional<cuda::Stream> DeviceOptimizer::current_stream_of(Library library) const {
    if (library == Library::torch && tensor_type_) {
        if (const auto stream = tensor_type_->current_stream(device_)) return std::max<cuda::Stream>(*stream, 1);
    }
    return current_stream(library, device_);
}

/// The stream for the work: the current stream of the parameters' library, or the stream that the first parameter
/// names.
cuda::Stream DeviceOptimizer::stream() const {
    if (bound_.empty()) return 1;
    const Bound& first = bound_.front();
    if (const auto current = current_stream_of(first.library)) return *current;
    return device_array(first.param, Access::write, names_->label(0), 1).stream.value_or(1);
}

/// The streams that write the gradients, and will overwrite them, besides the parameters' stream.
std::vector<cuda::Stream> DeviceOptimizer::other_streams(cuda::Stream own) const {
    std::vector<cuda::Stream> others;
    const auto add = [&](std::optional<cuda::Stream> stream) {
        if (stream && *stream != own) add_unique(*stream, others);
    };
    for (const Library library : {Library::cupy, Library::torch}) {
        if (grad_libraries_ & bit_of(library) && library != bound_.front().library) add(current_stream_of(library));
    }
    if (grad_libraries_ & bit_of(Library::other)) {
        for (std::size_t i = 0; i < size(); ++i) {
            if (engine_->entry(i).tensor.grad && known_grads_[i].library == Library::other) add(bound_[i].grad_stream);
        }
    }
    return others;
}

/// Takes None, or an array that is known and still alive.
bool DeviceOptimizer::take_plainly(std::size_t i, PyObject* grad) {
    KnownGrad& known = known_grads_[i];
    if (grad == Py_None) {
        if (known.given) engine_->set_grad(i, nullptr);
        known.given = false;
        return true;
    }
    if (!known.given || !tells_plainly(i, grad) || !recognises(i, grad)) return false;
    held_.push_back(py::handle(grad).inc_ref().ptr());
    return true;
}

/// Whether it is the very array that was passed before, with the same memory, so that it is no lazy negative view. (A
/// complex tensor is never recognised: `g.data = g.data.conj()` makes one a lazy conjugate of its own memory.) Runs code
/// unless tells_plainly().
bool DeviceOptimizer::recognises(std::size_t i, PyObject* grad) const {
    const bool may_be_conjugate = known_grads_[i].library == Library::torch && forms_[i].shape.is_complex;
    return !may_be_conjugate && known_grads_[i].array.is(grad) && is_unmoved(i, grad);
}

/// Whether a known array still has the memory that it had. (A CuPy array keeps its own.) Runs code unless
/// tells_plainly().
bool DeviceOptimizer::is_unmoved(std::size_t i, PyObject* grad) const {
    if (known_grads_[i].library != Library::torch) return true;
    const auto* const address = static_cast<const char*>(known_grads_[i].address);
    if (tells_plainly(i, grad)) return look_at_torch(i, grad) == address;
    return data_pointer(grad) == reinterpret_cast<std::uintptr_t>(address);
}

/// Whether no code runs if an array like the one before is asked where its memory is.
bool DeviceOptimizer::tells_plainly(std::size_t i, PyObject* grad) const {
    if (known_grads_[i].library != Library::torch) return true;
    return TensorType::if_known(grad) != nullptr;
}

/// The address of a CuPy array like the one before, or null. Reads no more attributes than it must.
const char* DeviceOptimizer::look_at_cupy(std::size_t i, py::handle grad) const {
    static const py::handle dtype = interned("dtype"), shape = interned("shape"), strides = interned("strides"),
                            data = interned("data"), pointer = interned("ptr"), device_id = interned("device_id");
    const Bound& bound = bound_[i];
    const ShapeAndStrides& form = forms_[i].shape;
    if (known_grads_[i].library != Library::cupy || !find_attr(grad, dtype).is(bound.grad_dtype)) return nullptr;
    if (!are_equal(find_attr(grad, shape), form.shape(), form.own_ndim())) return nullptr;
    if (!are_equal(find_attr(grad, strides), bound.grad_strides.data(), form.own_ndim())) return nullptr;
    const py::object memory = find_attr(grad, data);
    const auto address = memory ? to_integer(find_attr(memory, pointer)) : std::nullopt;
    if (!address) return nullptr;
    const auto* const found = *address ? reinterpret_cast<const char*>(*address) : &no_elements;
    const bool is_here = found == known_grads_[i].address || to_integer(find_attr(memory, device_id)) == device_;
    return is_here ? found : nullptr;
}

/// The address of a tensor like the one before, or null.
const char* DeviceOptimizer::look_at_torch(std::size_t i, py::handle grad) const {
    const Bound& bound = bound_[i];
    const ShapeAndStrides& form = forms_[i].shape;
    const TensorType* const type = TensorType::if_known(grad);
    TensorType::Description found;
    if (!type || known_grads_[i].library != Library::torch || !type->describe(grad, found)) return nullptr;
    const dlpack::abi::Tensor& seen = found.tensor;
    const bool is_here = seen.device.is_cuda() && seen.device.id == device_;
    const bool is_same = is_like(seen, {engine_->entry(i).tensor.grad_dtype, form.is_complex}, form.own_ndim(),
                                 form.shape(), bound.grad_strides.data());
    return is_here && is_same && is_beyond_offsets(address_of(seen)) ? address_of(seen) : nullptr;
}

/// Takes a gradient like the one before, at any address that is apart from what a step writes.
bool DeviceOptimizer::take_like_before(std::size_t i, py::handle grad) {
    const char* const address =
        cupy_type_ && py::type::handle_of(grad).is(cupy_type_) ? look_at_cupy(i, grad) : look_at_torch(i, grad);
    if (!address) return false;
    KnownGrad& known = known_grads_[i];
    if (address != known.address) {
        const auto number = reinterpret_cast<std::uintptr_t>(address);
        const std::uintptr_t begin = number + static_cast<std::uintptr_t>(known.begin);
        if (number % size_of(engine_->entry(i).tensor.grad_dtype) != 0 || known.bytes == 0) return false;
        if (!regions_.is_plainly_apart(begin, begin + known.bytes)) return false;
        known.address = address;
    }
    engine_->set_grad(i, address);
    return true;
}

void DeviceOptimizer::prepare(std::size_t i, const py::object& grad, Names::By by) {
    if (grad.is_none()) return;
    const bool is_known = recognises(i, grad.ptr());
    has_new_grads_ |= !is_known || !tells_plainly(i, grad.ptr());
    if (is_known || (cupy_type_ && py::type::handle_of(grad).is(cupy_type_))) return;
    if (const TensorType* const type = TensorType::of(grad))
        type->require_resolved(grad, forms_[i].shape.is_complex, [&] { return names_->grad_label(i, by); });
}

void DeviceOptimizer::take(std::size_t i, const py::object& grad, Names::By by) {
    if (grad.is_none()) {
        take_plainly(i, grad.ptr());
        return;
    }
    KnownGrad& known = known_grads_[i];
    if (recognises(i, grad.ptr())) {
        engine_->set_grad(i, known.address);
    } else {
        if (!take_like_before(i, grad)) take_grad(i, grad, by);
        if (known_grads_[i].library != Library::other && !known.array.is(grad.ptr())) known.array.saw(grad.ptr());
    }
    known.given = true;
}

void DeviceOptimizer::take_grad(std::size_t i, const py::object& grad, Names::By by) {
    const std::string label = names_->grad_label(i, by);
    DeviceArray found = device_array(grad, Access::read, label, stream_ == 0 ? 1 : stream_);
    Bound& bound = bound_[i];
    const ShapeAndStrides& shape = forms_[i].shape;
    require_shape(found.view, shape, engine_->entry(i).tensor.dtype, label, names_->label(i));
    int device = device_;
    require_device(found, device, "the parameters", label);
    require_apart(found.view, nullptr, label);
    KnownGrad& known = known_grads_[i];
    known.forget();
    remember_library(grad, found.library);
    const py::object dtype = found.library == Library::cupy ? grad.attr("dtype") : py::object();
    const Region region = region_of(found.view, -1);
    known.library = found.library;
    bound.grad_stream = found.stream;
    bound.grad_dtype = dtype;
    grad_libraries_ |= bit_of(found.library);
    bound.lent = found.library == Library::other ? py::make_tuple(grad, found.owner) : py::object();
    const void* const address = address_of(found.view);
    expect(i, std::move(found));
    known.address = address;
    known.begin = static_cast<std::ptrdiff_t>(region.begin - reinterpret_cast<std::uintptr_t>(address));
    known.bytes = region.end - region.begin;
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
                                 bool check, Scaler* scaler, const py::object& weight, unsigned columns) {
    const Exclusive exclusive(use_, owner());
    const double leaf_weight = window_.checked_weight(weight);
    const bool has_grads = !grads.is_none();
    if (!has_grads) window_.require_leaf();
    if (scaler && scaler->device() != device_)
        throw py::value_error(owner() + ": the LossScaler's scale is on CUDA device " +
                              std::to_string(scaler->device()) + ", but the parameters are on device " +
                              std::to_string(device_));
    cuda::StepRequest request;
    request.loss_scale = groups_.checked_loss_scale(loss_scale);
    request.scaling = scaler ? scaler->on_device() : nullptr;
    request.check = check || scaler || request.loss_scale != 1 || options_.checks;
    const bool may_skip = request.check, raises = options_.raises && !check && !scaler && request.loss_scale == 1;
    stream_ = stream();
    const std::shared_ptr<SpikeHistory> history = history_in(options_.guard);
    if (history && engine_->is_captured(stream_)) refuse_capture_of_guard();
    if (window_.is_open()) require_no_capture();
    if (columns != 0 && engine_->is_captured(stream_))
        throw cuda::Error("statistics cannot be part of a step that is captured into a CUDA graph");
    containers_.require_unchanged(param_groups, *names_, owner());
    groups_.read(param_groups);
    const bool follows = groups_.has_schedules() || !engine_->forecast().is_none();
    const bool captured = (follows || scaler) && engine_->is_captured(stream_);
    // Reading the count would wait for the device, which ends a capture.
    if (groups_.has_schedules() && (completed_ || !captured)) groups_.evaluate(param_groups, count_completed());
    settle_spikes();
    if (history) request.spikes = history->next();
    std::optional<Upcoming> upcoming;
    if (captured && follows) upcoming = evaluate_for_capture();
    std::optional<StateChange> change = follow_rules();
    GradTaker taker(*this);
    Names::By by = Names::By::sum;
    if (has_grads) by = taker.take(grads);
    std::optional<WindowStep> window;
    if (window_.is_open())
        window.emplace(*this, has_grads ? std::optional(window_.prepare(leaf_weight)) : std::nullopt);
    require_lenders_in_place(!averages_.empty());
    const py::object written = this->written(!averages_.empty());
    for (std::size_t i = 0; i < groups_.size(); ++i) engine_->set_group(i, groups_[i]);
    if (change) commit(std::move(*change));
    if (upcoming) use(std::move(*upcoming));
    send_averages();
    request.stream = stream_;
    request.others = other_streams(stream_);
    if (columns != 0) request.observation = observe(columns);
    if (window) window->add(request, raises);
    const auto report = [&] {
        // A full queue may wait for work that needs the GIL, and so may the loading of a kernel at its first launch.
        const GilRelease release;
        if (scaler && !captured) scaler->join(engine_->sequence(), stream_);
        return engine_->step(request);
    }();
    are_averages_known_ = averages_.empty();
    if (window) window->end(report, raises);
    if (history) unsettled_ = Unsettled{history, request.spikes, *report};
    if (may_skip || request.spikes.skips || engine_->has_captured()) completed_.reset();
    if (completed_) ++*completed_;
    if (written) note_written(written);  // also if the device is going to skip the step, which is not known yet
    const py::object result =
        report ? py::cast(StepReport(*report, request.spikes, names_, window ? Names::By::sum : by)) : py::none();
    if (!request.observation) return result;
    py::list sizes;
    for (std::size_t i = 0; i < size(); ++i) sizes.append(tensor_at(i).size);
    return py::make_tuple(result, StatisticsReport(request.observation), sizes);
}

}  // namespace adamcore::python

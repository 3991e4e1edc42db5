// How the CUDA optimizer adds up gradients, and how a step uses the sums as its gradients.

#include <algorithm>
#include <utility>

#include "device_optimizer.hpp"
#include "grad_taker.hpp"
#include "runtime/gil.hpp"
#include "window_step.hpp"

namespace adamcore::python {

void DeviceOptimizer::require_no_capture() const {
    if (engine_->is_captured(stream_))
        throw cuda::Error(
            "gradients cannot be accumulated while a step is captured into a CUDA graph: add them up in arrays of the "
            "parameters' library, and pass their mean to the step");
}

void DeviceOptimizer::accumulate(const py::object& grads, const py::list& param_groups, const py::object& weight) {
    const Exclusive exclusive(use_, owner());
    const double number = window_.checked_weight(weight);
    stream_ = stream();
    require_no_capture();
    containers_.require_unchanged(param_groups, *names_, owner());
    GradTaker taker(*this);
    (void)taker.take(grads);
    require_lenders_in_place(false);
    Leaf leaf = window_.prepare(number);
    add(leaf);
    window_.use(std::move(leaf));
}

/// Memory that has just been allocated may still be in use by work on its pool's stream.
void DeviceOptimizer::add(const Leaf& leaf) {
    std::vector<cuda::Stream> others = other_streams(stream_);
    const cuda::Stream pool = stream_of_pool(device_);
    if (pool != stream_ && std::find(others.begin(), others.end(), pool) == others.end()) others.push_back(pool);
    std::vector<cuda::LeafPass> passes;
    for (const LeafPass& pass : leaf.passes) passes.push_back({pass.pass, pass.weights, pass.tensors});
    const GilRelease release;  // a full queue may wait for work that needs it
    engine_->order(stream_);
    cuda::Ordered ordered(device_, stream_, others);
    cuda::add_leaf(device_, passes, stream_);
    ordered.finish();
    engine_->order(stream_);  // the step may go to another stream
}

void DeviceOptimizer::describe_sum(std::size_t i, const Sum& sum) {
    SumForm& known = sum_forms_[i];
    known.grad = sum.grad();
    if (!known.grad) return;
    const Tensor& tensor = engine_->entry(i).tensor;
    if (known.grad != known.described) {
        std::vector<Py_ssize_t> strides;
        const ArrayView view = window_.view_of(i, sum, strides);
        walk(known.walk, forms_[i], view_of_param(tensor, forms_[i]), view);
        known.dtype = view.dtype;
        known.described = known.grad;
    }
    known.differs = known.dtype != tensor.grad_dtype || known.walk.grad_strides != bound_[i].grad_strides;
}

void DeviceOptimizer::exchange_grads() {
    for (std::size_t i = 0; i < size(); ++i) {
        SumForm& sum = sum_forms_[i];
        const void* const before = engine_->entry(i).tensor.grad;
        if (sum.differs) {
            cuda::Entry entry = engine_->entry(i);
            std::swap(static_cast<GradWalk&>(bound_[i]), sum.walk);
            std::swap(entry.tensor.grad_dtype, sum.dtype);
            describe_walks(bound_[i], forms_[i], entry);
            engine_->set_kind(i, entry);
        }
        engine_->set_grad(i, std::exchange(sum.grad, before));
    }
}

DeviceOptimizer::WindowStep::WindowStep(DeviceOptimizer& of, std::optional<Leaf> last)
    : optimizer_(of), leaf_(std::move(last)) {
    const std::vector<Sum>& sums = leaf_ ? leaf_->sums : of.window_.sums();
    of.sum_forms_.resize(of.size());
    for (std::size_t i = 0; i < of.size(); ++i) {
        of.sum_forms_[i].differs = false;
        of.describe_sum(i, i < sums.size() ? sums[i] : Sum{});
    }
    of.exchange_grads();
}

DeviceOptimizer::WindowStep::~WindowStep() { optimizer_.exchange_grads(); }

void DeviceOptimizer::WindowStep::add(cuda::StepRequest& request, bool raises) {
    request.divisor = leaf_ ? Scale(leaf_->weight) : optimizer_.window_.divisor();
    if (!leaf_) return;
    {
        const GilRelease release;
        optimizer_.engine_->prepare(request);
    }
    if (raises) back_up();
    optimizer_.add(*leaf_);
}

void DeviceOptimizer::WindowStep::end(const std::optional<cuda::Report>& report, bool raises) {
    if (raises && report) {
        const cuda::Outcome outcome = [&] {
            const GilRelease release;
            return report->read();
        }();
        if (outcome.skipped != 0 && outcome.culprit >= 0) {
            if (leaf_) copy(true);
            return;
        }
    }
    optimizer_.window_.close();
}

/// What a leaf adds to, and what it takes into account, are the first tensors of these passes.
void DeviceOptimizer::WindowStep::back_up() {
    std::vector<StateSlots> slots;
    std::vector<std::string> labels;
    for (const LeafPass& pass : leaf_->passes) {
        for (std::size_t k = 0; k < pass.tensors.size(); ++k) {
            saved_.push_back(pass.tensors[k]);
            slots.push_back({state_slot(saved_.back(), rule::unscaled("copy").in_full(), 0)});
            labels.push_back(optimizer_.names_->label(pass.places[k]));
        }
    }
    for (Tensor& tensor : saved_) tensor.layout = nullptr;
    backup_ = optimizer_.allocate_state(saved_, slots, labels);
    copy(false);
}

void DeviceOptimizer::WindowStep::copy(bool back) const {
    const cuda::Stream stream = optimizer_.stream_, pool = optimizer_.stream_of_pool(optimizer_.device_);
    const GilRelease release;
    const cuda::DeviceScope scope(optimizer_.device_);
    optimizer_.engine_->order(stream);
    cuda::Ordered ordered(optimizer_.device_, stream, pool == stream ? std::vector<cuda::Stream>{} : std::vector{pool});
    for (const Tensor& tensor : saved_) {
        const auto bytes = static_cast<std::size_t>(tensor.size) * size_of(tensor.dtype);
        if (bytes == 0) continue;
        cuda::copy_on_device(back ? tensor.param : tensor.state[0], back ? tensor.state[0] : tensor.param, bytes,
                             stream);
    }
    ordered.finish();
    optimizer_.engine_->order(stream);
    if (back) optimizer_.engine_->sequence()->latest().wait();  // before the copies are released
}

}  // namespace adamcore::python

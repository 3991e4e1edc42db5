// How the CPU optimizer adds up gradients, and how a step uses the sums as its gradients.

#include <utility>

#include "adamcore/cpu/element_passes.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

void HostOptimizer::accumulate(const py::object& grads, const py::list& param_groups, const py::object& weight) {
    const Exclusive exclusive(use_, owner());
    const double number = window_.checked_weight(weight);
    containers_.require_unchanged(param_groups, *names_, owner());
    const Names::Taken taken = take_uncounted(grads);
    Leaf leaf = window_.prepare(number);
    if (elements_ < worth_releasing(size())) {
        add(leaf);
    } else {
        const GilRelease release;
        add(leaf);
    }
    window_.use(std::move(leaf));
}

/// Takes the gradients of a leaf. The optimizer holds them.
Names::Taken HostOptimizer::take_uncounted(const py::object& grads) {
    const Uncounted uncounted(*this);
    return take_grads(grads, true);
}

void HostOptimizer::require_params_in_place() const {
    for (std::size_t i = 0; i < size(); ++i) require_same_param(i);
    require_lenders_in_place(true);
}

void HostOptimizer::require_sums_in_place() const {
    for (std::size_t i = 0; i < size(); ++i) {
        if (tensors_[i].grad) require_same_param(i);
    }
    require_lenders_in_place(!averages_.empty());
}

void HostOptimizer::add(const Leaf& leaf) const noexcept {
    for (const LeafPass& pass : leaf.passes)
        cpu::add_leaf(kernels(), pass.pass, pass.weights, pass.tensors.data(),
                      static_cast<std::int64_t>(pass.tensors.size()), pool());
}

/// Everything that can fail comes first.
void HostOptimizer::describe_sum(std::size_t i, const Sum& sum) {
    SumForm& known = sum_forms_[i];
    const void* const data = sum.grad();
    if (data && data != known.described) {
        std::vector<Py_ssize_t> strides;
        const ArrayView view = window_.view_of(i, sum, strides);
        Tensor tensor = tensors_[i];
        expect(tensor, known.form, forms_[i], view_of_param(tensor, forms_[i]), view);
        known.described = data;
        known.dtype = tensor.grad_dtype;
        known.layout = tensor.layout;
    }
    known.grad = data;
}

void HostOptimizer::exchange_grads() noexcept {
    for (std::size_t i = 0; i < size(); ++i) {
        Tensor& tensor = tensors_[i];
        SumForm& sum = sum_forms_[i];
        std::swap(tensor.grad, sum.grad);
        std::swap(tensor.grad_dtype, sum.dtype);
        std::swap(tensor.layout, sum.layout);
        std::swap(static_cast<GradForm&>(bound_[i]), sum.form);
    }
    planned_threads_ = 0;
}

HostOptimizer::WindowStep::WindowStep(HostOptimizer& of, std::optional<Leaf> last, bool keeps_sums)
    : optimizer_(of), leaf_(std::move(last)) {
    if (leaf_ && keeps_sums) back_up();
    const std::vector<Sum>& sums = leaf_ ? leaf_->sums : of.window_.sums();
    of.sum_forms_.resize(of.size());
    for (std::size_t i = 0; i < of.size(); ++i) of.describe_sum(i, i < sums.size() ? sums[i] : Sum{});
    of.exchange_grads();
}

HostOptimizer::WindowStep::~WindowStep() { optimizer_.exchange_grads(); }

Scale HostOptimizer::WindowStep::divisor() const { return leaf_ ? Scale(leaf_->weight) : optimizer_.window_.divisor(); }

void HostOptimizer::WindowStep::add() const noexcept {
    if (leaf_) optimizer_.add(*leaf_);
}

void HostOptimizer::WindowStep::back_up() {
    for (const LeafPass& pass : leaf_->passes) {
        for (const Tensor& tensor : pass.tensors)
            sums_.add(tensor.param, static_cast<std::size_t>(tensor.size) * size_of(tensor.dtype));
    }
    run(sums_.out());
}

void HostOptimizer::WindowStep::take_back() const noexcept { run(sums_.back()); }

}  // namespace adamcore::python

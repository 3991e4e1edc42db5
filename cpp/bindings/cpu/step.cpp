// One step: it takes hyper-parameters and gradients, measures the gradients if anything demands it, and updates
// everything.

#include "adamcore/cpu/engine.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "cpu/observed_step.hpp"
#include "gate/written.hpp"
#include "guards/spike_history.hpp"
#include "runtime/environment.hpp"
#include "runtime/fast_call.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

py::object HostOptimizer::step(const py::object& grads, const py::list& param_groups, const py::object& loss_scale,
                               bool check, const py::object& weight, bool raises, unsigned columns) {
    const Exclusive exclusive(use_, owner());
    const double scale = groups_.checked_loss_scale(loss_scale), leaf_weight = window_.checked_weight(weight);
    const bool has_window = window_.is_open(), has_grads = !grads.is_none();
    if (!has_grads) window_.require_leaf();
    raises = raises || (options_.raises && !check && scale == 1);
    check = check || scale != 1 || options_.checks;
    containers_.require_unchanged(param_groups, *names_, owner());
    groups_.read(param_groups);
    groups_.evaluate(param_groups, completed_);
    std::optional<StateChange> change = follow_rules();
    // First take references to the gradients, then look at them: from here on no code runs that could free them.
    const bool may_release = elements_ >= worth_releasing(size());
    const Uncounted uncounted(*this);
    const Names::Taken taken = !has_grads   ? Names::Taken{{}, Names::By::structure}
                               : has_window ? take_uncounted(grads)
                                            : take_grads(grads, may_release);
    std::optional<WindowStep> window;
    if (has_window) {
        window.emplace(*this, has_grads ? std::optional(window_.prepare(leaf_weight)) : std::nullopt, raises);
        require_sums_in_place();
    }
    const py::object written = this->written(!averages_.empty());
    plan();
    workspace_ = scratch_.for_step(groups_.data(), groups_.size(), tensors_.data(), tensors_.size());
    Treatment treatment;
    const Scale multiplier = Scale(1) / (window ? Scale(scale) * window->divisor() : Scale(scale));
    treatment.scale = multiplier;
    treatment.seed = options_.seed;
    if (options_.clip == Clip::value) treatment.limit = options_.limit;
    const bool measures = check || adamcore::measures(options_.clip);
    const std::shared_ptr<SpikeHistory> history = history_in(options_.guard);
    const SpikeLimit limit = history ? history->next() : SpikeLimit{};

    std::optional<ObservedStep> observed;
    if (columns != 0) observed.emplace(*this, columns, measures);

    Measured measured;
    bool skipped = false;
    // What is returned is made now, because nothing may fail once something has changed. The number is set later, which
    // nobody sees.
    const bool returns = measures || observed;
    const py::object norm = returns ? py::object(py::float_(0.0)) : py::object();
    const auto result_of = [&](bool is_skipped, const py::object& label, bool is_spike) -> py::object {
        py::object measurements = py::make_tuple(is_skipped, norm, label, is_spike);
        return observed ? observed->with_table(measurements) : measurements;
    };
    const py::object result = returns ? result_of(false, py::none(), false) : py::none();
    const py::object of_spike = history ? result_of(limit.skips, py::none(), true) : py::object();
    const auto work = [&] {
        if (window) window->add();
        if (measures) measured = measure(treatment, limit);
        skipped = (check && measured.culprit) || (measured.is_spike && limit.skips);
        if (!skipped) {
            if (change) {
                if (is_counted_) count_step(-1);
                commit(std::move(*change));
            }
            update(treatment, measures, observed ? &*observed : nullptr);
        } else if (observed) {
            observed->observe_grads();
        }
        if (!observed) return;
        const double found = observed->finish(multiplier, !skipped);
        if (!measures) measured.norm = found;
    };
    if (!may_release || active_elements_ < worth_releasing(size())) {
        work();
    } else {
        const GilRelease release;
        work();
    }
    const bool fails = raises && skipped && measured.culprit;  // it is about to raise an error
    if (window && fails) window->take_back();
    if (window && !fails) window_.close();
    if (returns) reinterpret_cast<PyFloatObject*>(norm.ptr())->ob_fval = measured.norm;
    if (history && !measured.culprit) history->record(measured.norm, limit);
    if (written && !skipped) note_written(written);
    if (!returns) return result;
    if (measured.is_spike) return of_spike;
    if (!skipped) return result;
    const Names::By by = window ? Names::By::sum : taken.by;
    return result_of(true, py::str(names_->grad_label(*measured.culprit, by)), false);
}

void HostOptimizer::plan() {
    const int threads = pool().threads;
    if (planned_threads_ == threads) return;
    parts_ = cpu::plan_step(tensors_.data(), static_cast<std::int64_t>(tensors_.size()), threads, cuts_.data());
    active_elements_ = 0;
    active_.clear();
    latest_.resize(groups_.size());
    first_active_.assign(groups_.size(), std::nullopt);
    for (std::size_t i = 0; i < size(); ++i) {
        const std::int64_t elements = cpu::active_size(tensors_[i]);
        active_elements_ += elements;
        if (elements == 0) continue;
        active_.push_back(i);
        auto& first = first_active_[static_cast<std::size_t>(tensors_[i].group)];
        if (!first) first = i;
    }
    averaged_.clear();
    for (const Averaged& each : averages_) averaged_.push_back(arrays_of_slot(each.slot.name));
    followers_.resize(averages_.size());
    planned_threads_ = threads;
}

norm::Reading HostOptimizer::grad_in_c_order(std::size_t i) const noexcept {
    const Unusual* const unusual = bound_[i].unusual.get();
    const Tensor& tensor = tensors_[i];
    return {tensor.grad, tensor.size, tensor.grad_dtype, unusual ? unusual->in_c_order.axes() : Axes{}};
}

HostOptimizer::Measured HostOptimizer::measure(Treatment& treatment, SpikeLimit limit) {
    if (options_.clip == Clip::units) return measure_units(treatment);
    norms_.clear();
    for (const std::size_t i : active_) norms_.add(grad_in_c_order(i));
    norms_.measure();
    const Scale scale = treatment.scale;
    const norm::Squares squares = norms_.sum();
    Measured measured{norm::root(squares, scale)};
    for (std::size_t at = 0; at < active_.size() && !measured.culprit; ++at) {
        if (!norm::fits(norms_.of(at), tensors_[active_[at]].narrows_grad())) measured.culprit = active_[at];
    }
    measured.is_spike = !measured.culprit && measured.norm > limit.norm;
    if (options_.clip == Clip::norm)
        treatment.scale = scale * norm::clip_factor(squares, scale, measured.is_spike ? limit.norm : options_.limit);
    if (options_.clip == Clip::norm_per_tensor) {
        factors_.assign(size(), 1.0);
        for (std::size_t at = 0; at < active_.size(); ++at)
            factors_[active_[at]] = norm::clip_factor(norms_.of(at), scale, options_.limit);
        treatment.tensor_factors = factors_.data();
    }
    return measured;
}

HostOptimizer::Measured HostOptimizer::measure_units(Treatment& treatment) {
    norms_.clear();
    std::size_t units = 0;
    for (const std::size_t i : active_) {
        Tensor& tensor = tensors_[i];
        const ArrayView param = view_of_param(tensor, forms_[i]);
        ArrayView grad = param;
        grad.data = static_cast<char*>(const_cast<void*>(tensor.grad));
        grad.dtype = tensor.grad_dtype;
        grad.strides = bound_[i].expected.strides();
        const std::int64_t count = Units::count_of(param);
        tensor.unit_size = tensor.size / count;
        units += static_cast<std::size_t>(count);
        units_.add(i, param, grad, norms_);
    }
    norms_.measure();

    factors_.resize(units);
    treatment.by_units = true;
    Measured measured;
    std::vector<norm::Squares>& totals = units_.totals;
    totals.clear();
    std::size_t at = 0, unit = 0;
    for (const std::size_t i : active_) {
        Tensor& tensor = tensors_[i];
        const auto count = static_cast<std::size_t>(tensor.size / tensor.unit_size);
        tensor.unit_factors = factors_.data() + unit;
        for (std::size_t k = 0; k < count; ++k)
            factors_[unit++] =
                norm::adaptive_factor(norms_.of(at + k), norms_.of(at + count + k), treatment.scale, options_.limit);
        totals.push_back(norms_.sum(at + count, count));
        if (!measured.culprit && !norm::fits(totals.back(), tensor.narrows_grad())) measured.culprit = i;
        at += 2 * count;
    }
    const norm::Squares squares = sums::sum_pairs(totals.data(), static_cast<std::int64_t>(totals.size()));
    measured.norm = norm::root(squares, treatment.scale);
    return measured;
}

/// What was measured last is in cache, so the update begins there.
void HostOptimizer::update(const Treatment& treatment, bool measured, ObservedStep* observed) noexcept {
    if (!is_counted_) count_step(1);
    is_counted_ = false;
    ++completed_;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
        if (!first_active_[group]) continue;
        const Tensor& tensor = tensors_[*first_active_[group]];
        latest_[group].prepare(groups_[group], tensor);
    }
    const cpu::Followers followers = advance_averages();
    if (observed) observed->begin();
    const plan::Cut* const cuts = observed ? observed->cuts() : cuts_.data();
    cpu::step(kernels(), groups_.data(), tensors_.data(), cuts, observed ? observed->parts() : parts_, pool(),
              treatment, measured, latest_.data(), workspace_, numbers_.data(), followers,
              observed ? &observed->observer() : nullptr);
}

cpu::Followers HostOptimizer::advance_averages() noexcept {
    std::size_t count = 0;
    for (std::size_t k = 0; k < averages_.size(); ++k) {
        Averaged& each = averages_[k];
        const double share = each.average.advance(each.progress, completed_);
        if (share != 0)
            followers_[count++] = {kernels().weight_passes[pass_of(each.average.kind)], share, averaged_[k].data()};
    }
    return {followers_.data(), count};
}

namespace {

/// Null before __init__ has been called.
HostOptimizer* optimizer_in(PyObject* self) {
    auto* const instance = reinterpret_cast<py::detail::instance*>(self);
    return static_cast<HostOptimizer*>(instance->get_value_and_holder().value_ptr());
}

PyObject* call_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return translate_errors(
        [&]() -> PyObject* {
            require_arguments(count, 7);
            HostOptimizer* const optimizer = optimizer_in(self);
            if (!optimizer) throw py::type_error("HostOptimizer: __init__ has not been called");
            const auto object = [&](int i) { return py::reinterpret_borrow<py::object>(arguments[i]); };
            if (!PyList_Check(arguments[1])) throw py::type_error("param_groups must be a list");
            const int check = PyObject_IsTrue(arguments[3]), raises = PyObject_IsTrue(arguments[5]);
            if (check < 0 || raises < 0) throw py::error_already_set();
            const unsigned long columns = PyLong_AsUnsignedLong(arguments[6]);
            if (columns == static_cast<unsigned long>(-1) && PyErr_Occurred()) throw py::error_already_set();
            const cpu::FloatEnvironment environment;
            return optimizer
                ->step(object(0), object(1), object(2), check != 0, object(4), raises != 0,
                       static_cast<unsigned>(columns))
                .release()
                .ptr();
        },
        static_cast<PyObject*>(nullptr));
}

PyMethodDef step_definition = fast_method("step", call_step,
                                          "step($self, grads, param_groups, loss_scale, check, weight, raises, "
                                          "columns, /)\n--\n\nOne update of all parameters that have "
                                          "a gradient.");

}  // namespace

void add_step(py::class_<HostOptimizer>& optimizer) {
    const auto method = py::reinterpret_steal<py::object>(
        PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(optimizer.ptr()), &step_definition));
    if (!method) throw py::error_already_set();
    optimizer.attr("step") = method;
}

}  // namespace adamcore::python

#include "cpu/update_function.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <pybind11/stl.h>

#include "adamcore/rule_registry.hpp"
#include "calls/plain_arrays.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/scratch.hpp"
#include "groups/hyper.hpp"
#include "runtime/fast_call.hpp"
#include "runtime/gil.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

/// The arguments that come before the hyper-parameters.
enum Argument : std::size_t { params, grads, by_place, number, first_hyper };

bool find_count(PyObject* value, std::int64_t& count) {
    if (!PyLong_CheckExact(value)) return false;
    int overflow = 0;
    count = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow && count >= 1;
}

/// Whether all state has the shape of the parameter and may have one dtype, and nothing is summed.
bool is_plain(const RuleInfo& rule) {
    return !counts_in_c_order(rule) &&
           std::all_of(rule.slots, rule.slots + rule.slot_count,
                       [](const rule::Slot& slot) { return slot.shape == rule::Shape::elements && !slot.is_full; });
}

bool is_flag(PyObject* value) { return value == Py_True || value == Py_False; }

/// Whether two variant arguments are equal. Only floats, ints and flags are compared by value.
bool is_same(PyObject* value, PyObject* known) {
    if (value == known) return true;
    return PyFloat_CheckExact(value) && PyFloat_CheckExact(known) &&
           PyFloat_AS_DOUBLE(value) == PyFloat_AS_DOUBLE(known);
}

}  // namespace

UpdateFunction::UpdateFunction(const Names& names, py::function rule_for, py::function otherwise)
    : names_(names),
      rule_for_(std::move(rule_for)),
      otherwise_(std::move(otherwise)),
      argument_count_(first_hyper + names.hyper.size() + names.state.size()) {
    const auto argument_of = [&](const std::string& name) {
        const auto found = std::find(names_.hyper.begin(), names_.hyper.end(), name);
        if (found == names_.hyper.end()) throw py::value_error("there is no argument '" + name + "'");
        return first_hyper + static_cast<std::size_t>(found - names_.hyper.begin());
    };
    for (const std::string& name : names.flags) flags_.push_back(argument_of(name));
    for (const std::string& name : names.variant) variant_arguments_.push_back(argument_of(name));
    const bool ascends = std::find(names.hyper.begin(), names.hyper.end(), "maximize") != names.hyper.end();
    maximize_ = ascends ? argument_of("maximize") : 0;
}

UpdateFunction::Variant UpdateFunction::make_variant(const std::string& rule, PyObject* const* arguments) const {
    Variant variant;
    variant.rule = find_rule(rule);
    for (const std::size_t argument : variant_arguments_)
        variant.values.push_back(py::reinterpret_borrow<py::object>(arguments[argument]));
    const RuleInfo& info = all_rules()[variant.rule];
    const auto place_in = [](const std::vector<std::string>& names, const std::string& name) {
        return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    };
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const FieldInfo& field = info.fields[i];
        variant.fields[i] = {first_hyper + place_in(names_.hyper, key_of(field)), tuple_size(info, field)};
    }
    for (std::size_t slot = 0; slot < info.slot_count; ++slot)
        variant.named[slot] = first_hyper + names_.hyper.size() + place_in(names_.state, info.slots[slot].name);
    return variant;
}

/// Returns null if the arguments are not plain, or if there is no rule for them, or one with sums.
const UpdateFunction::Variant* UpdateFunction::variant_of(PyObject* const* arguments) {
    for (std::size_t i = 0; i < std::min(variant_count_, variants_.size()); ++i) {
        bool found = true;
        for (std::size_t k = 0; found && k < variant_arguments_.size(); ++k)
            found = is_same(arguments[variant_arguments_[k]], variants_[i].values[k].ptr());
        if (found) return &variants_[i];
    }
    py::dict hyper;
    for (std::size_t i = 0; i < variant_arguments_.size(); ++i) {
        PyObject* const value = arguments[variant_arguments_[i]];
        if (!is_flag(value) && !PyFloat_CheckExact(value) && !PyLong_CheckExact(value)) return nullptr;
        hyper[py::str(names_.variant[i])] = py::handle(value);
    }
    std::string rule;
    try {
        rule = run_python([&] { return rule_for_(hyper); }).cast<std::string>();
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_ValueError)) throw;
        return nullptr;
    }
    if (!is_plain(all_rules()[find_rule(rule)])) return nullptr;
    Variant variant = make_variant(rule, arguments);
    Variant& place = variants_[variant_count_++ % variants_.size()];
    std::swap(place, variant);
    return &place;
}

bool UpdateFunction::read_hyper(const Variant& variant, PyObject* const* arguments, Group& group) const {
    for (const std::size_t flag : flags_) {
        if (!is_flag(arguments[flag])) return false;
    }
    const RuleInfo& info = all_rules()[variant.rule];
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const auto& field = variant.fields[i];
        PyObject* value = arguments[field.argument];
        if (field.tuple_size > 0) {
            if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != field.tuple_size) return false;
            value = PyTuple_GET_ITEM(value, info.fields[i].place);
        }
        if (!read_plainly(info.fields[i], value, group.hyper[i])) return false;
    }
    group.rule = variant.rule;
    group.grad_scale = maximize_ && arguments[maximize_] == Py_True ? -1.0 : 1.0;
    return true;
}

bool UpdateFunction::find_arrays(const Variant& variant, PyObject* const* arguments, PlainArrays& arrays) const {
    const std::size_t slots = all_rules()[variant.rule].slot_count;
    PyObject* const placed = arguments[by_place];
    if (!PyTuple_CheckExact(placed)) return false;
    const auto first_named = static_cast<std::size_t>(PyTuple_GET_SIZE(placed));
    if (first_named > slots) return false;
    std::array<PyObject*, PlainArrays::most_kinds> given{arguments[params], arguments[grads]};
    std::size_t named = 0;
    for (std::size_t k = first_hyper + names_.hyper.size(); k < argument_count_; ++k) named += arguments[k] != Py_None;
    if (named != slots - first_named) return false;
    for (std::size_t slot = 0; slot < slots; ++slot) {
        PyObject* const found = slot < first_named ? PyTuple_GET_ITEM(placed, static_cast<Py_ssize_t>(slot))
                                                   : arguments[variant.named[slot]];
        if (found == Py_None) return false;
        given[2 + slot] = found;
    }
    return arrays.hold(given.data(), 2 + slots);
}

void UpdateFunction::run(const Group& group, const Tensor* tensors, std::size_t count) {
    const auto tensor_count = static_cast<std::int64_t>(count);
    std::int64_t elements = 0;
    for (std::size_t i = 0; i < count; ++i) elements += tensors[i].size;
    latest_.prepare(group, tensors[0]);
    if (elements < worth_releasing(count)) {
        const plan::Cut whole[] = {{0, 0}, {tensor_count, 0}};
        cpu::step(kernels(), &group, tensors, whole, 1, cpu::Serial{}, {}, false, &latest_);
        return;
    }
    cpu::LatestConstants latest = latest_;  // another thread may call this function in the meantime
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(tensors, tensor_count, threads.size(), cuts);
    const GilRelease release;
    cpu::step(kernels(), &group, tensors, cuts, parts, threads, {}, false, &latest);
}

bool UpdateFunction::update(PyObject* const* arguments) {
    const cpu::FloatEnvironment environment;
    // From here to the call of run(), only variant_of() runs code of Python's, and only our own.
    const Variant* const variant = variant_of(arguments);
    Group group;
    PlainArrays arrays;
    if (!variant || Scratch::may_need(variant->rule) || !read_hyper(*variant, arguments, group) ||
        !find_arrays(*variant, arguments, arrays))
        return false;

    Tensor one;
    std::vector<Tensor> many;
    if (arrays.size() > 1) many.resize(arrays.size());
    Tensor* const tensors = many.empty() ? &one : many.data();
    if (is_list(arguments[number])) {
        const HeldItems numbers(arguments[number]);
        if (numbers.size() != arrays.size()) return false;
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            if (!find_count(numbers.data()[i], tensors[i].step)) return false;
        }
    } else {
        std::int64_t step = 0;
        if (!find_count(arguments[number], step)) return false;
        for (std::size_t i = 0; i < arrays.size(); ++i) tensors[i].step = step;
    }
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        if (!arrays.take(i, tensors[i])) return false;
    }
    if (!arrays.are_apart()) return false;
    if (arrays.size() > 0) run(group, tensors, arrays.size());
    return true;
}

namespace {

PyObject* call_update(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    auto* const function = static_cast<UpdateFunction*>(PyCapsule_GetPointer(self, nullptr));
    const bool done = translate_errors(
        [&] {
            require_arguments(count, function->argument_count());
            return function->update(arguments);
        },
        false);
    if (PyErr_Occurred()) return nullptr;
    if (done) Py_RETURN_NONE;
    PyObject* const otherwise = function->otherwise().ptr();
    return run_python(
        [=] { return PyObject_Vectorcall(otherwise, arguments, static_cast<std::size_t>(count), nullptr); });
}

PyMethodDef update_definition =
    fast_method("update", call_update, "One update of arrays, in place. Raises an error before anything has changed.");

}  // namespace

void define_update_function(py::module_& m) {
    using Texts = std::vector<std::string>;
    m.def(
        "update_function",
        [](Texts hyper, Texts flags, Texts variant, Texts state, py::function rule_for, py::function otherwise) {
            auto function = std::make_unique<UpdateFunction>(
                UpdateFunction::Names{std::move(hyper), std::move(flags), std::move(variant), std::move(state)},
                std::move(rule_for), std::move(otherwise));
            const py::capsule owner(function.get(), [](void* self) { delete static_cast<UpdateFunction*>(self); });
            (void)function.release();
            return py::reinterpret_steal<py::object>(PyCFunction_New(&update_definition, owner.ptr()));
        },
        py::arg("hyper"), py::arg("flags"), py::arg("variant"), py::arg("state"), py::arg("rule_for"),
        py::arg("otherwise"),
        "Make a function that does one update of arrays, and calls `otherwise` if they are not plain NumPy arrays.");
}

}  // namespace adamcore::python

#include "optimizer/groups.hpp"

#include <algorithm>

#include "adamcore/rule_registry.hpp"
#include "gate/foreign.hpp"
#include "runtime/gil.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

/// The value if the same object always has the same value; null for others, such as an array without axes.
py::object if_constant(const py::object& value) {
    return PyFloat_Check(value.ptr()) || PyLong_Check(value.ptr()) ? value : py::object();
}

}  // namespace

Groups::Candidate Groups::look_at(const py::dict& hyper, const py::tuple& variant_keys, const py::function& variant,
                                  std::int64_t completed) const {
    const std::size_t rule = rule_index(run_python([&] { return variant(hyper); }).cast<std::string>());
    Candidate candidate{{rule, {}, 1.0}, {HyperReader(rule, owner_), variant, {}}};
    candidate.reader.hyper.read(hyper, completed, static_cast<int>(size()), candidate.group.hyper);
    for (const py::handle key : variant_keys)
        candidate.reader.variant_values.emplace_back(py::reinterpret_borrow<py::object>(key), if_constant(hyper[key]));
    return candidate;
}

void Groups::make_room() {
    python::make_room(groups_, 1);
    python::make_room(readers_, 1);
}

void Groups::add(Candidate candidate) noexcept {
    groups_.push_back(candidate.group);
    readers_.push_back(std::move(candidate.reader));
}

void Groups::read(const py::list& param_groups, std::int64_t completed) {
    if (param_groups.size() != groups_.size())
        throw py::value_error(owner_ + ": param_groups has " + std::to_string(param_groups.size()) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
    static PyObject* const maximize_key = interned("maximize").ptr();
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        // A schedule may run foreign code, which may change the list.
        PyObject* const item = PyList_GetItem(param_groups.ptr(), static_cast<Py_ssize_t>(i));
        if (!item) throw py::error_already_set();
        if (!PyDict_Check(item))
            throw py::type_error(owner_ + ": param_groups[" + std::to_string(i) + "] must be a dict");
        if (readers_[i].seen.is_same(item)) continue;
        readers_[i].seen.forget();
        const auto hyper = py::reinterpret_borrow<py::dict>(item);
        read_variant(i, hyper);
        readers_[i].hyper.read(hyper, completed, static_cast<int>(i), groups_[i].hyper);
        PyObject* maximize = PyDict_GetItemWithError(item, maximize_key);
        const int ascend = maximize ? PyObject_IsTrue(maximize) : 0;
        if (PyErr_Occurred()) throw py::error_already_set();
        groups_[i].grad_scale = ascend ? -1.0 : 1.0;
        readers_[i].seen.note(item, [&](PyObject* key) {
            const auto& variants = readers_[i].variant_values;
            return PyUnicode_Compare(key, maximize_key) == 0 || readers_[i].hyper.reads(key) ||
                   std::any_of(variants.begin(), variants.end(),
                               [&](const auto& one) { return PyUnicode_Compare(key, one.first.ptr()) == 0; });
        });
    }
}

bool Groups::has_schedule(const py::list& param_groups) {
    static PyObject* const rate_key = interned("lr").ptr();
    for (const py::handle group : param_groups) {
        PyObject* const rate = PyDict_Check(group.ptr()) ? PyDict_GetItemWithError(group.ptr(), rate_key) : nullptr;
        if (PyErr_Occurred()) throw py::error_already_set();
        if (rate && !PyFloat_CheckExact(rate) && PyCallable_Check(rate)) return true;
    }
    return false;
}

void Groups::read_variant(std::size_t index, const py::dict& hyper) {
    Reader& group = readers_[index];
    for (auto& [key, latest] : group.variant_values) {
        const auto value = py::reinterpret_borrow<py::object>(PyDict_GetItemWithError(hyper.ptr(), key.ptr()));
        if (value && value.is(latest)) continue;
        if (!value)
            throw py::value_error(owner_ + ": param_groups[" + std::to_string(index) + "]['" + key.cast<std::string>() +
                                  "'] is missing");
        const std::size_t rule = rule_index(run_python([&] { return group.variant(hyper); }).cast<std::string>());
        if (rule != groups_[index].rule) {
            HyperReader reader(rule, owner_);
            group.hyper = std::move(reader);
            groups_[index].rule = rule;
        }
        latest = if_constant(value);
    }
}

int Groups::traverse(visitproc visit, void* arg) const {
    for (const Reader& reader : readers_) {
        Py_VISIT(reader.variant.ptr());
        for (const auto& [key, value] : reader.variant_values) Py_VISIT(value.ptr());
        if (const int stop = reader.hyper.traverse(visit, arg)) return stop;
    }
    return 0;
}

double Groups::checked_loss_scale(py::handle value) const {
    const double scale = PyFloat_AsDouble(value.ptr());
    const bool no_number = scale == -1.0 && PyErr_Occurred();
    // So that float32 can represent the inverse of the scale.
    if (!no_number && scale >= 0x1p-126 && scale <= 0x1p126) return scale;
    PyErr_Clear();
    const std::string message =
        owner_ + ": loss_scale must be a finite number > 0, from 2**-126 to 2**126, got " + repr_of(value);
    if (no_number) throw py::type_error(message);
    throw py::value_error(message);
}

}  // namespace adamcore::python

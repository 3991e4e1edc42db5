#include "groups/groups.hpp"

#include <algorithm>
#include <tuple>

#include "adamcore/rule_registry.hpp"
#include "groups/agreement.hpp"
#include "runtime/gil.hpp"
#include "runtime/interned.hpp"
#include "runtime/room.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

/// The value if the same object always selects the same rule; null for others, such as an array without axes.
py::object if_constant(const py::object& value) {
    const bool is_constant = PyFloat_Check(value.ptr()) || PyLong_Check(value.ptr()) || PyCallable_Check(value.ptr());
    return is_constant ? value : py::object();
}

py::object if_schedule(const py::object& value) { return PyCallable_Check(value.ptr()) ? value : py::object(); }

/// A plain dict with the same items.
py::dict plain_copy(const py::dict& dict) {
    PyObject* const copy = PyDict_Copy(dict.ptr());
    if (!copy) throw py::error_already_set();
    return py::reinterpret_steal<py::dict>(copy);
}

/// The name of the rule that hyper-parameters select, as an index.
std::size_t rule_of(const py::function& variant, const py::dict& hyper) {
    return find_rule(run_python([&] { return variant(hyper); }).cast<std::string>());
}

}  // namespace

Groups::Candidate Groups::look_at(const py::dict& hyper, const py::tuple& variant_keys, const py::function& variant,
                                  std::int64_t completed) const {
    const int index = static_cast<int>(size());
    Timetable timetable;
    timetable.begin(completed);
    std::vector<Selector> selectors;
    const py::dict numbers = plain_copy(hyper);
    for (const py::handle key : variant_keys) {
        const auto value = py::reinterpret_borrow<py::object>(hyper[key]);
        selectors.push_back({py::reinterpret_borrow<py::object>(key), py::str(key).cast<std::string>(),
                             if_constant(value), if_schedule(value)});
        Selector& selector = selectors.back();
        if (!selector.schedule) continue;
        const double number = timetable.call(timetable.add(value), {owner_, selector.label, index}).number;
        selector.is_zero = number == 0;
        numbers[key] = number;
    }
    const std::size_t rule = rule_of(variant, numbers);
    Candidate candidate{{rule, {}, 1.0}, {HyperReader(rule, owner_), variant, std::move(selectors)}};
    candidate.reader.hyper.read_at(hyper, index, timetable, candidate.group.hyper);
    return candidate;
}

void Groups::make_room() {
    python::make_room(groups_, 1);
    python::make_room(readers_, 1);
}

void Groups::add(Candidate candidate) noexcept {
    groups_.push_back(candidate.group);
    readers_.push_back(std::move(candidate.reader));
    is_listed_ = false;
}

void Groups::require_all(const py::list& param_groups) const {
    if (param_groups.size() != groups_.size())
        throw py::value_error(owner_ + ": param_groups has " + std::to_string(param_groups.size()) + " groups, but " +
                              std::to_string(groups_.size()) + " were added; use add_param_group");
}

void Groups::read(const py::list& param_groups) {
    require_all(param_groups);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        PyObject* const item = dict_of(param_groups, i);
        if (readers_[i].seen.is_same(item)) continue;
        read_group(i, py::reinterpret_borrow<py::dict>(item));
    }
    if (!is_listed_) list_schedules();
    if (timetable_.empty()) python::require_agreement(owner_, groups_);
}

void Groups::read_group(std::size_t index, const py::dict& hyper) {
    static PyObject* const maximize_key = interned("maximize").ptr();
    Reader& group = readers_[index];
    group.seen.forget();
    read_selectors(index, hyper);
    if (group.hyper.read(hyper, static_cast<int>(index), groups_[index].hyper)) is_listed_ = false;
    PyObject* maximize = PyDict_GetItemWithError(hyper.ptr(), maximize_key);
    const int ascend = maximize ? PyObject_IsTrue(maximize) : 0;
    if (PyErr_Occurred()) throw py::error_already_set();
    groups_[index].grad_scale = ascend ? -1.0 : 1.0;
    group.seen.note(hyper.ptr(), [&](PyObject* key) {
        return PyUnicode_Compare(key, maximize_key) == 0 || group.hyper.reads(key) ||
               std::any_of(group.selectors.begin(), group.selectors.end(),
                           [&](const Selector& selector) { return PyUnicode_Compare(key, selector.key.ptr()) == 0; });
    });
}

void Groups::read_selectors(std::size_t index, const py::dict& hyper) {
    Reader& group = readers_[index];
    bool by_schedule = false;
    for (Selector& selector : group.selectors) {
        const auto value = py::reinterpret_borrow<py::object>(PyDict_GetItemWithError(hyper.ptr(), selector.key.ptr()));
        if (!value)
            throw py::value_error(owner_ + ": param_groups[" + std::to_string(index) + "]['" + selector.label +
                                  "'] is missing");
        if (!value.is(selector.latest)) {
            group.is_selected = false;
            is_listed_ &= !selector.schedule && !PyCallable_Check(value.ptr());
            selector.schedule = if_schedule(value);
            selector.latest = if_constant(value);
        }
        by_schedule |= static_cast<bool>(selector.schedule);
    }
    if (!group.is_selected && !by_schedule) select(index, hyper);
}

bool Groups::select(std::size_t index, const py::dict& hyper) {
    const std::size_t rule = rule_of(readers_[index].variant, hyper);
    const bool is_other = rule != groups_[index].rule;
    if (is_other) {
        readers_[index].seen.forget();
        is_listed_ = false;
        readers_[index].hyper = HyperReader(rule, owner_);
        groups_[index].rule = rule;
    }
    readers_[index].is_selected = true;
    return is_other;
}

/// Joins those that follow each other.
void Groups::join(std::vector<Run>& runs) {
    const auto key = [](const Run& run) { return std::tie(run.schedule, run.field, run.range, run.begin); };
    std::sort(runs.begin(), runs.end(), [&](const Run& a, const Run& b) { return key(a) < key(b); });
    std::size_t count = 0;
    for (const Run& run : runs) {
        Run* const last = count > 0 ? &runs[count - 1] : nullptr;
        const bool goes_on = last && last->schedule == run.schedule && last->field == run.field &&
                             last->range == run.range && last->end == run.begin;
        if (goes_on) {
            last->end = run.end;
        } else {
            runs[count++] = run;
        }
    }
    runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(count), runs.end());
}

void Groups::list_schedules() {
    Timetable timetable;
    std::vector<First> firsts;
    std::vector<Run> runs;
    std::vector<Selection> selections;
    const auto add = [&](const py::object& schedule, std::size_t group, const std::string& label) {
        const std::size_t place = timetable.add(schedule);
        if (place == firsts.size()) firsts.push_back({static_cast<int>(group), label});
        return place;
    };
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        const HyperReader& hyper = readers_[i].hyper;
        const std::vector<Selector>& selectors = readers_[i].selectors;
        for (std::size_t k = 0; k < selectors.size(); ++k) {
            if (selectors[k].schedule) selections.push_back({add(selectors[k].schedule, i, selectors[k].label), i, k});
        }
        for (std::size_t field = 0; field < hyper.field_count(); ++field) {
            const py::object& schedule = hyper.schedule_of(field);
            if (!schedule) continue;
            const std::size_t place = add(schedule, i, hyper.label_of(field));
            runs.push_back({place, field, i, i + 1, &hyper.range_of(field)});
        }
    }
    join(runs);
    timetable.inherit(std::move(timetable_));
    timetable_ = std::move(timetable);
    firsts_.swap(firsts);
    runs_.swap(runs);
    selections_.swap(selections);
    is_listed_ = true;
    ++listing_;
}

void Groups::call_schedules() {
    for (std::size_t i = 0; i < timetable_.size(); ++i)
        timetable_.call(i, {owner_, firsts_[i].label, firsts_[i].group});
}

PyObject* Groups::dict_of(const py::list& param_groups, std::size_t index) const {
    PyObject* const item = PyList_GetItem(param_groups.ptr(), static_cast<Py_ssize_t>(index));
    if (!item) throw py::error_already_set();
    if (!PyDict_Check(item))
        throw py::type_error(owner_ + ": param_groups[" + std::to_string(index) + "] must be a dict");
    return item;
}

void Groups::evaluate(const py::list& param_groups, std::int64_t completed) {
    if (timetable_.empty()) return;
    timetable_.begin(completed);
    call_schedules();
    require_all(param_groups);  // a schedule may have changed it
    if (!selections_.empty()) select_by_schedules(param_groups);
    for (Run& run : runs_) {
        const double number = timetable_[run.schedule];
        if (run.written == number) continue;
        require_in_range(run, timetable_.value(run.schedule));
        Group* const groups = groups_.data();
        for (std::size_t i = run.begin; i < run.end; ++i) groups[i].hyper[run.field] = number;
        run.written = number;
    }
    python::require_agreement(owner_, groups_);
}

void Groups::require_in_range(const Run& run, const Timetable::Value& value) const {
    if (!rule::contains(*run.range, value.number))
        readers_[run.begin].hyper.refuse(run.field, static_cast<int>(run.begin), value);
}

void Groups::select_by_schedules(const py::list& param_groups) {
    for (std::size_t first = 0, end = 0; first < selections_.size(); first = end) {
        const std::size_t index = selections_[first].group;
        Reader& group = readers_[index];
        bool is_same = group.is_selected;
        for (end = first; end < selections_.size() && selections_[end].group == index; ++end) {
            const bool is_zero = timetable_[selections_[end].schedule] == 0;
            is_same &= is_zero == group.selectors[selections_[end].selector].is_zero;
        }
        if (is_same) continue;
        const auto hyper = py::reinterpret_borrow<py::dict>(dict_of(param_groups, index));
        const py::dict numbers = plain_copy(hyper);
        for (std::size_t k = first; k < end; ++k)
            numbers[group.selectors[selections_[k].selector].key] = timetable_[selections_[k].schedule];
        group.is_selected = false;
        const bool is_other = select(index, numbers);
        for (std::size_t k = first; k < end; ++k)
            group.selectors[selections_[k].selector].is_zero = timetable_[selections_[k].schedule] == 0;
        if (is_other) read_group(index, hyper);
    }
    if (is_listed_) return;
    list_schedules();
    call_schedules();
}

void Groups::require_agreement_of(const Group& added) const {
    std::vector<Group> groups = groups_;
    groups.push_back(added);
    python::require_agreement(owner_, groups);
}

int Groups::traverse(visitproc visit, void* arg) const {
    for (const Reader& reader : readers_) {
        Py_VISIT(reader.variant.ptr());
        for (const Selector& selector : reader.selectors) {
            Py_VISIT(selector.latest.ptr());
            Py_VISIT(selector.schedule.ptr());
        }
        if (const int stop = reader.hyper.traverse(visit, arg)) return stop;
        if (const int stop = reader.seen.traverse(visit, arg)) return stop;
    }
    return timetable_.traverse(visit, arg);
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
